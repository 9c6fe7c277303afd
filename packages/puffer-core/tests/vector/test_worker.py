"""A worker's side of the conversation, in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers
from puffer_core.vector import control
from puffer_core.vector.channel import Channel, channel_pair, readable
from puffer_core.vector.control import COMMAND, DONE, FAILED, INFOS, SLOT, WORKER_SLEEPS, words_of
from puffer_core.vector.memory import describe, shared_zeros
from puffer_core.vector.recipe import Recipe
from puffer_core.vector.spec_json import spec_from_json
from puffer_core.vector.worker import _Worker, unpacked
from puffer_testing.processes import within


class Main:
    """What a main process says and hears."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.control = shared_zeros((1, control.ROW_BYTES), np.uint8)
        self.words = words_of(self.control[0])
        self.number = 0

    def ask(self, do: str, data: bytes = b"", arrays: dict[str, Any] | None = None, **content: Any) -> Any:
        fds, forms = describe(arrays or {})
        if arrays:
            content["control" if do == "init" else "arrays"] = forms
        self.channel.send({"do": do, "number": -1, **content}, data, fds)
        return self.heard()

    def heard(self) -> Any:
        while not self.channel.messages:
            readable([self.channel], 5.0)
            self.channel.pump()
            assert not self.channel.closed
        return self.channel.messages.popleft()

    def make(self, name: str, interface: str = "gymnasium", count: int = 2) -> Any:
        recipe = Recipe(name="it", target=f"process_envs:{name}", interface=interface, arguments={}, options={})
        return self.ask(
            "init",
            arrays={"control": self.control[0]},
            recipe=recipe.to_json(),
            first=4,
            count=count,
            total=8,
            spin=0.0,
        ).content

    def bind(self, form: dict[str, Any], count: int = 2) -> EnvBuffers:
        spec = spec_from_json(form, count)
        self.buffers = EnvBuffers.allocate(spec, 3, shared_zeros)
        self.action = shared_zeros((spec.rows, *spec.action.shape), spec.action.dtype)
        arrays = {name: array for name, array in vars(self.buffers).items() if array is not None}
        assert self.ask("bind", arrays={**arrays, "@action": self.action}).content["answer"] is None
        return self.buffers

    def step(self, slot: int) -> None:
        self.number += 1
        self.words[SLOT] = slot
        self.words[COMMAND] = self.number
        if self.words[WORKER_SLEEPS]:
            self.channel.wake()
        within(10.0, self.is_done)

    def is_done(self) -> bool:
        self.channel.pump()
        return self.words[DONE] == self.number


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Iterator[Main]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    channel, sock = channel_pair()
    thread = threading.Thread(target=served, args=(Channel(sock),))
    thread.start()
    yield Main(channel)
    channel.close()
    thread.join(10)
    assert not thread.is_alive(), "a worker ends with its main process"


def served(channel: Channel) -> None:
    try:
        _Worker(channel).serve()
    except (EOFError, ConnectionError):
        pass
    finally:
        channel.close()


def test_it_makes_binds_resets_and_steps(main: Main) -> None:
    buffers = main.bind(main.make("Walk")["answer"])
    main.ask("reset", seed=3, first=4)
    assert buffers.observation[0].all()
    within(10.0, lambda: main.words[WORKER_SLEEPS] == 1)
    main.step(1)
    main.step(2)
    assert buffers.observation[1:].all()
    assert main.words[INFOS] == 0
    assert main.ask("close").content["answer"] is None


def test_infos_lie_in_shared_memory_or_come_as_a_message(main: Main) -> None:
    main.bind(main.make("Telling")["answer"])
    main.ask("reset", seed=1, first=4)
    sizes = set()
    for step in range(14):
        main.step(1 + step % 2)
        sizes.add(int(main.words[INFOS]))
        if main.words[INFOS] == control.BY_MESSAGE:
            assert len(main.heard().data) > 300_000
            return
    pytest.fail(f"no large info among {sizes}")


def test_what_is_raised_comes_as_text(main: Main) -> None:
    told = main.make("NoSuchEnv")["error"]
    assert told["class"] == "EnvError"
    assert "no attribute 'NoSuchEnv'" in told["message"]
    assert "Traceback" in told["trace"]


def test_a_step_that_raises_is_done_and_failed(main: Main) -> None:
    main.bind(main.make("Remembering", "vector")["answer"])
    main.ask("reset", seed=0, first=4)
    main.action[...] = 9
    main.step(1)
    assert main.words[FAILED] == 1
    told = main.heard().content
    assert told["answers"] == 1
    assert told["error"]["message"] == (
        "it: environments 4 to 5 failed in step: ValueError: an action is greater than 1"
    )


def test_states_and_pictures_are_handed_over(main: Main) -> None:
    main.bind(main.make("Remembering", "vector")["answer"])
    main.ask("reset", seed=0, first=4)
    message = main.ask("snapshot")
    assert unpacked(message.content["answer"], message.data)["count"].tolist() == [40, 40, 50, 50]
    assert main.ask("restore", message.data, sizes=message.content["answer"], seed=0, first=4).content["answer"] is None
    assert main.ask("render").content["error"]["class"] == "UnsupportedError"


def test_a_picture_is_bytes_with_a_shape(main: Main) -> None:
    main.bind(main.make("Pictured")["answer"])
    main.ask("reset", seed=0, first=4)
    message = main.ask("render")
    assert (message.content["answer"], message.data) == ([2, 3, 3], bytes(18))


def test_it_says_where_it_is(main: Main) -> None:
    seen = []
    form = main.make("Walk")["answer"]
    main.bind(form)
    main.ask("reset", seed=0, first=4)
    assert control.place_of(main.words) == (None, False)
    for place in (0, 3, -1, -4):
        control.note_place(main.words, place)
        seen.append(control.place_of(main.words))
    assert seen == [(0, False), (3, False), (0, True), (3, True)]
