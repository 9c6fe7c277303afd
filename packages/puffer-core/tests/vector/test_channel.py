"""Messages over a socket: whole, in order, and never waited for longer than agreed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from puffer_core.vector import channel
from puffer_core.vector.channel import Channel, channel_pair, readable


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    here, there = channel_pair()
    other = Channel(there)
    yield here, other
    here.close()
    other.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    here.send({"number": 1}, b"bytes")
    here.wake()
    here.send({"text": "ü"})
    first, wake, last = there.receive(), there.receive(), there.receive()
    assert first is not None
    assert last is not None
    assert (first.content, first.data, wake, last.content) == ({"number": 1}, b"bytes", None, {"text": "ü"})


def test_descriptors_are_handed_over(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    read, write = os.pipe()
    here.send({"pipe": True}, fds=[write])
    message = there.receive()
    assert message is not None
    [own] = message.fds
    assert not os.get_inheritable(own)
    os.write(own, b"through")
    assert os.read(read, 7) == b"through"
    for fd in (read, write, own):
        os.close(fd)


def test_pump_takes_what_is_there_and_never_waits(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    there.pump()
    assert not there.messages
    frame = bytearray()
    raw, other = socket.socketpair()
    Channel(raw).send({"number": 2}, b"x" * 10)
    frame += other.recv(1000)
    raw.close(), other.close()
    here._socket.send(frame[:20])
    there.pump()
    assert not there.messages, "half a message is none"
    here._socket.send(frame[20:])
    readable([there], 5.0)
    there.pump()
    assert [message.data for message in there.messages] == [b"x" * 10]


def test_large_messages_pass_while_the_other_end_reads(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    data = os.urandom(3_000_000)
    sender = threading.Thread(target=here.send, args=({"large": True}, data))
    sender.start()
    while not there.messages:
        readable([there], 5.0)
        there.pump()
    sender.join()
    assert there.messages[0].data == data


def test_who_does_not_read_is_not_waited_for(ends: tuple[Channel, Channel]) -> None:
    here, _ = ends
    with pytest.raises(TimeoutError, match="does not read"):
        here.send({"large": True}, b"x" * 3_000_000, timeout=0.05)


def test_who_reads_slowly_is_waited_for(ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = ends
    given = []

    def read_a_little(sock: socket.socket, seconds: float) -> None:
        given.append(seconds)
        there._socket.recv(100_000)

    monkeypatch.setattr(channel, "_await_room", read_a_little)
    here.send({"large": True}, bytes(2_000_000), timeout=1.0)
    assert len(given) > 3
    assert set(given) == {1.0}, "what counts is how long nothing is read"


def test_wake_ups_for_who_does_not_read_are_dropped(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    with pytest.raises(TimeoutError):
        here._send_all(memoryview(bytes(16 * 100_000)), 0.05)
    here.wake()
    while (there._socket.recv(1 << 20)).__len__() == 1 << 20:
        pass
    assert not there.messages


def test_a_closed_end_is_noticed(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    here.send({"last": True})
    here.close()
    here.close()
    there.pump()
    assert [message.content for message in there.messages] == [{"last": True}]
    there.pump()
    assert there.closed
    with pytest.raises(EOFError):
        there.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        there.send({"nobody": True})
    there.wake()
    readable([there], 60.0)
