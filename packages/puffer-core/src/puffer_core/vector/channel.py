"""Messages between processes over a socket: JSON values, bytes and file descriptors. Nothing is pickled.

A frame is a header (length of the JSON, length of the bytes), the JSON, the bytes. An empty frame is a wake-up: it
says that there is news in shared memory.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_HEADER = struct.Struct("=QQ")
_WAKE = _HEADER.pack(0, 0)
_MOST_FDS = 64
_CHUNK = 1 << 16
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_DONTWAIT = socket.MSG_DONTWAIT


class Message(NamedTuple):
    """What was received."""

    content: dict[str, Any]
    data: bytes
    fds: list[int]


class Channel:
    """One end of a socket pair.

    The main process reads with `pump`, which never waits; workers and the fork server with `receive`, which does, and
    which alone takes descriptors.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._read = bytearray()
        self.messages: deque[Message] = deque()
        self.closed = False

    def fileno(self) -> int:
        """The socket's descriptor; -1 once closed."""
        return self._socket.fileno()

    def send(
        self, content: dict[str, Any], data: bytes = b"", fds: Sequence[int] = (), timeout: float | None = None
    ) -> None:
        """Send a message; descriptors are copied, and stay the caller's.

        Raises:
            ConnectionError: the other end is gone.
            TimeoutError: it reads nothing for so long.
        """
        text = json.dumps(content).encode()
        frame = memoryview(_HEADER.pack(len(text), len(data)) + text + data)
        if fds:
            sent = socket.send_fds(self._socket, [frame[: _HEADER.size]], list(fds))
            frame = frame[sent:]
        self._send_all(frame, timeout)

    def _send_all(self, frame: memoryview, timeout: float | None) -> None:
        while frame:
            try:
                frame = frame[self._socket.send(frame, _DONTWAIT) :]
            except BlockingIOError:
                _await_room(self._socket, timeout)

    def wake(self) -> None:
        """Send an empty frame. A full socket has wake-ups enough, and a closed one is noticed by who reads it."""
        try:
            sent = self._socket.send(_WAKE, _DONTWAIT)
        except OSError:
            return
        if sent < len(_WAKE):  # a part of a frame must not stay alone
            self._send_all(memoryview(_WAKE)[sent:], None)

    def pump(self) -> None:
        """Take in what has arrived: complete messages into `messages`; `closed` once the other end is gone."""
        while not self.closed:
            try:
                chunk = self._socket.recv(_CHUNK, _DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                self.closed = True
                return
            self._read += chunk
            self._split()
            if len(chunk) < _CHUNK:
                return

    def _split(self) -> None:
        while len(self._read) >= _HEADER.size:
            text, data = _HEADER.unpack_from(self._read)
            end = _HEADER.size + text + data
            if len(self._read) < end:
                return
            frame = bytes(memoryview(self._read)[_HEADER.size : end])
            del self._read[:end]
            if text:
                self.messages.append(Message(json.loads(frame[:text]), frame[text:], []))

    def receive(self) -> Message | None:
        """Wait for the next frame; None for a wake-up.

        Raises:
            EOFError: the other end is gone.
        """
        header, fds, _, _ = socket.recv_fds(self._socket, _HEADER.size, _MOST_FDS, _CLOEXEC)
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003  not everywhere is this asked of `recv_fds` above
        header += self._exactly(_HEADER.size - len(header)) if header else b""
        if not header:
            raise EOFError
        text, data = _HEADER.unpack(header)
        if not text:
            return None
        content = json.loads(self._exactly(text))
        return Message(content, self._exactly(data), fds)

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            chunk = self._socket.recv(count - len(parts))
            if not chunk:
                raise EOFError
            parts += chunk
        return bytes(parts)

    def close(self) -> None:
        """Close this end. Safe to call twice."""
        self.closed = True
        self._socket.close()


def channel_pair() -> tuple[Channel, socket.socket]:
    """A channel for this process and the socket to hand to another."""
    own, other = socket.socketpair()
    return Channel(own), other


def readable(channels: Iterable[Channel], seconds: float) -> None:
    """Wait until one of `channels` has something to read or is closed, at most so long."""
    poll = select.poll()
    for channel in channels:
        if channel.closed:
            return
        poll.register(channel.fileno(), select.POLLIN)
    poll.poll(max(0.0, seconds) * 1000)


def _await_room(sock: socket.socket, seconds: float | None) -> None:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLOUT)
    if not poll.poll(None if seconds is None else seconds * 1000):
        raise TimeoutError("the other process does not read")
