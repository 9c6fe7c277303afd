"""A worker process: holds a share of the environments and steps it on command.

Steps are commanded and answered through words in shared memory (`control`); everything else, which is rare, comes
and goes as messages. What an environment raises travels as text. Nothing is pickled.
"""

from __future__ import annotations

import faulthandler
import json
import random
import select
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from puffer_core.checkpoints.statefile import decode, encode
from puffer_core.contracts.env import EnvBuffers, RenderingEnv, VectorEnv
from puffer_core.errors import EnvError, PufferError, UnsupportedError
from puffer_core.quoting import error_text
from puffer_core.specs import import_target
from puffer_core.vector import control
from puffer_core.vector.channel import Channel, Message
from puffer_core.vector.checks import env_error
from puffer_core.vector.making import making
from puffer_core.vector.memory import attach
from puffer_core.vector.plain import plain
from puffer_core.vector.recipe import Recipe
from puffer_core.vector.seeding import environment_seed
from puffer_core.vector.serial import SerialVectorEnv
from puffer_core.vector.shares import Share
from puffer_core.vector.spec_json import spec_to_json
from puffer_core.vector.waiting import Fence, reaches

_SAFETY_MILLISECONDS = 100
_LONGEST_TRACE = 20_000


def main(channel: Channel, log: int) -> None:
    """Serve until told to close, or until the main process is gone.

    Args:
        channel: to the main process.
        log: descriptor of the file for the stack of a crash, and of a step that takes too long.
    """
    faulthandler.enable(log, all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(control.DUMP, log, all_threads=True)
    with suppress(EOFError, ConnectionError):  # the main process is gone
        _Worker(channel).serve()


class _Worker:
    """One share and where it stands."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._fence = Fence()
        self._number = 0
        self._first = 0
        self._seed: int | None = None
        self._env: VectorEnv | None = None
        self._words: memoryview | None = None
        self._open = True

    def serve(self) -> None:
        """Messages until there is an env, then steps and messages."""
        while self._open and self._words is None:
            self._attend()
        while self._open:
            self._await_step()

    def _await_step(self) -> None:
        words, number = self._words, self._number + 1
        assert words is not None
        if reaches(words, control.COMMAND, number, self._spin):
            self._step(words, number)
            return
        while words[control.COMMAND] != number:
            words[control.WORKER_SLEEPS] = 1
            self._fence()
            ready = words[control.COMMAND] != number and self._poll.poll(_SAFETY_MILLISECONDS)
            words[control.WORKER_SLEEPS] = 0
            if ready and self._attend():
                return

    def _attend(self) -> bool:
        """Read one frame; whether it was more than a wake-up."""
        message = self._channel.receive()
        if message is None:
            return False
        reply, data = self._reply(message)
        if self._words is not None:
            self._words[control.AT] = 0
        self._channel.send({"answers": message.content["number"], **reply}, data)
        return True

    def _reply(self, message: Message) -> tuple[dict[str, Any], bytes]:
        try:
            answer, data = self._do(message)
        except BaseException as error:  # noqa: BLE001  SystemExit too: the main process decides what becomes of it
            return {"error": self._told(message.content["do"], error)}, b""
        return {"answer": answer}, data

    def _step(self, words: memoryview, number: int) -> None:
        self._fence()
        try:
            infos = self._bound().step(self._action, words[control.SLOT])
            words[control.INFOS] = self._lay_down(number, infos) if infos else 0
        except BaseException as error:  # noqa: BLE001  as above
            self._channel.send({"answers": number, "error": self._told("step", error)})
            words[control.FAILED] = number
        self._number = number
        words[control.AT] = 0
        self._fence()
        words[control.DONE] = number
        self._fence()
        if words[control.MAIN_SLEEPS]:
            self._channel.wake()

    def _lay_down(self, number: int, infos: Sequence[tuple[int, Any]]) -> int:
        """Write the infos where the main process finds them; the number of bytes."""
        text = json.dumps([(row, plain(info)) for row, info in infos]).encode()
        if len(text) <= control.INFO_BYTES:
            self._infos[: len(text)] = text
            return len(text)
        self._channel.send({"answers": number, "answer": {}}, text)
        return control.BY_MESSAGE

    def _do(self, message: Message) -> tuple[Any, bytes]:
        content = message.content
        match content["do"]:
            case "init":
                return self._make(content, message.fds), b""
            case "bind":
                arrays = attach(message.fds, content["arrays"])
                self._action = arrays.pop("@action")
                self._bound().bind(EnvBuffers(**arrays))
            case "reset":
                self._first, self._seed = content["first"], content["seed"]
                self._bound().reset(content["seed"], content["first"])
            case "snapshot":
                files = encode(self._bound().snapshot())
                return {suffix: len(data) for suffix, data in files.items()}, b"".join(files.values())
            case "restore":
                self._first, self._seed = content["first"], content["seed"]
                self._bound().restore(unpacked(content["sizes"], message.data))
            case "render":
                return self._render()
            case "close":
                self._open = False
                if self._env is not None:  # there is none where making it failed
                    self._env.close()
        return None, b""

    def _bound(self) -> VectorEnv:
        assert self._env is not None, "a worker without an env was asked for more than making one"
        return self._env

    def _make(self, content: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        row = attach(fds, content["control"])["control"]
        self._infos = control.info_area(row)
        self._spin = content["spin"]
        self._first, self._count, self._total = content["first"], content["count"], content["total"]
        self._recipe = recipe = Recipe(**content["recipe"])
        # Environments that draw from the global generators would otherwise all draw the same in every worker.
        random.seed(self._first)
        np.random.seed(self._first)  # noqa: NPY002
        with making(recipe.name, recipe.options):
            target = import_target(recipe.target)
        self._env = recipe.make(target, self._count, first=self._first, total=self._total)
        self._words = control.words_of(row)
        if isinstance(self._env, SerialVectorEnv):
            self._env.watch(partial(control.note_place, self._words))
        return spec_to_json(self._env.spec)

    def _render(self) -> tuple[Any, bytes]:
        env = self._bound()
        if not isinstance(env, RenderingEnv):
            raise UnsupportedError(f"{self._recipe.name} gives no picture")
        picture = env.render()
        return list(picture.shape), picture.astype(np.uint8).tobytes()

    def _told(self, phase: str, error: BaseException) -> dict[str, str]:
        """An exception as text, of the class of ours that the main process raises."""
        said = error if isinstance(error, PufferError) else self._named(phase, error)
        trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
        return {"class": type(said).__name__, "message": said.message, "remedy": said.remedy, "trace": trace}

    def _named(self, phase: str, error: BaseException) -> EnvError:
        """What nothing else has put into words: a KeyboardInterrupt, or an error of a batch of its own."""
        name, what = self._recipe.name, error_text(error)
        place, resetting = control.place_of(self._words) if self._words is not None else (None, False)
        if place is None or self._seed is None:
            return env_error(name, str(Share(self._first, self._count)), phase, what)
        index, phase = self._first + place, "reset" if resetting else phase
        seed = environment_seed(self._seed, index)
        return env_error(name, f"environment {index} of {self._total}", phase, what, seed=seed)


def unpacked(sizes: dict[str, int], data: bytes) -> dict[str, Any]:
    """The state whose files lie one after another in `data`."""
    files, start = {}, 0
    for suffix, size in sizes.items():
        files[suffix] = data[start : start + size]
        start += size
    return decode(files)
