"""A worker as the main process sees it: started, told what to do, waited for, killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

import numpy as np

from puffer_core import errors
from puffer_core.contracts.env import Infos
from puffer_core.errors import EnvError, PufferError
from puffer_core.vector import control, worker
from puffer_core.vector.channel import Channel, Message, channel_pair, readable
from puffer_core.vector.forkserver import ForkServer, ServerDied, fork_server
from puffer_core.vector.memory import anonymous_file, describe
from puffer_core.vector.waiting import Fence, reaches

_SLICE_SECONDS = 0.05
_DYING_SECONDS = 1.0
_DUMP_SECONDS = 0.5
_LONGEST_LOG = 20_000


class WorkerDied(Exception):  # noqa: N818  it is caught, and the worker replaced
    """A worker is gone: its process has ended, and writes nothing any more.

    Args:
        how: in words, to go on from "the worker".
        trace: its Python stack, where it could be had.
        late: it was killed because it took too long.
    """

    def __init__(self, how: str, trace: str = "", *, late: bool = False) -> None:
        super().__init__(how)
        self.how = how
        self.trace = trace
        self.late = late


class WorkerTrace(Exception):  # noqa: N818  the cause of an error, and its text
    """The traceback of a worker, as text."""


@dataclass
class Patience:
    """What is left of the time that workers may take. Counts only while this process really waits: if it was
    stopped itself, no worker is to blame.
    """

    seconds: float
    waited: float = 0.0

    def wait(self, channels: Sequence[Channel]) -> None:
        """Wait for news, at most a slice."""
        begin = monotonic()
        seconds = min(_SLICE_SECONDS, self.seconds - self.waited)
        readable(channels, seconds)
        self.waited += min(monotonic() - begin, 2 * _SLICE_SECONDS)

    @property
    def over(self) -> bool:
        """Whether there is none left."""
        return self.waited >= self.seconds


class WorkerProcess:
    """One worker and its share of the environments, over as many processes as it takes.

    Args:
        target: `"module:Attribute"` of the environment.
        row: its row of control memory.
        spin: seconds to wait without pause.
    """

    def __init__(self, target: str, row: np.ndarray[Any, Any], *, spin: float) -> None:
        self._module = target.partition(":")[0]
        self._row = row
        self._words, self._infos = control.words_of(row), control.info_area(row)
        self._spin = spin
        self._fence = Fence()
        self._number = 0
        self._asked = 0
        self._log = anonymous_file()
        self._channel: Channel | None = None
        self._server: ForkServer | None = None
        self._main = os.getpid()
        self._buried = False
        self._died = WorkerDied("was never started")
        self.pid = 0

    # --- life ---

    def start(self, message: Mapping[str, Any]) -> None:
        """Fork a process and have it make its environments; `answer` then gives their spec.

        Raises:
            WorkerDied: it was gone at once.
            ResourceError: there can be no process.
        """
        self._words[:] = memoryview(bytes(self._words.nbytes)).cast("Q")
        self._number = 0
        os.ftruncate(self._log, 0)
        os.lseek(self._log, 0, os.SEEK_SET)
        channel, other = channel_pair()
        try:
            with other:
                self._server = fork_server(self._module)
                self.pid = self._server.spawn(other.fileno(), self._log)
        except ServerDied:
            channel.close()
            raise WorkerDied("could not be forked: the fork server died") from None
        except BaseException:
            channel.close()
            raise
        self._channel, self._buried = channel, False
        fds, form = describe({"control": self._row})
        self.ask("make", fds=fds, control=form, spin=self._spin, **message)

    @property
    def alive(self) -> bool:
        """Whether there is a process, as far as is known."""
        return self._channel is not None

    def place(self) -> tuple[int | None, bool]:
        """The environment of its share that it was last at, None where that is not known, and whether it was reset."""
        return control.place_of(self._words)

    def kill(self) -> None:
        """End the process and see it dead. Safe to call at any time."""
        if self._channel is None:
            return
        if self._main == os.getpid() and not self._buried:
            self._bury()
        self._channel.close()
        self._channel = None

    def _live(self) -> Channel:
        """The channel to the process.

        Raises:
            WorkerDied: there is none; says what became of it.
        """
        if self._channel is None:
            raise self._died
        return self._channel

    def _bury(self) -> int | None:
        """See the process dead, by force where need be; its exit code, None where it is not known."""
        server = self._server
        assert server is not None
        for attempt in range(2):
            until = monotonic() + _DYING_SECONDS
            while self.pid not in server.deaths and server.alive and monotonic() < until:
                if attempt or self._channel is None or not self._channel.closed:
                    server.signal(self.pid, signal.SIGKILL)
                readable([server.channel], _SLICE_SECONDS)
                server.pump()
            if self.pid in server.deaths:
                self._buried = True
                return server.deaths.pop(self.pid)
        self._buried = True
        server.kill()  # it does not answer; its workers die with it
        return None

    def free(self) -> None:
        """Close the log. The worker must be dead."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    # --- messages ---

    def ask(self, do: str, data: bytes = b"", fds: Sequence[int] = (), **content: Any) -> None:
        """Send a command; `answer` waits for what it gives.

        Raises:
            WorkerDied: it is gone.
        """
        self._asked += 1
        channel = self._live()
        try:
            channel.send({"do": do, "number": -self._asked, **content}, data, fds, timeout=_DYING_SECONDS)
        except OSError:
            raise self._death() from None

    def answer(self, patience: Patience) -> Message:
        """Wait for the answer to the last command.

        Raises:
            WorkerDied: it died, or took too long and was killed.
            PufferError: what it was told to do failed.
        """
        while True:
            message = self._taken(-self._asked)
            if message is not None:
                return _unless_error(message)
            self._look_after(patience)

    def _taken(self, number: int) -> Message | None:
        """The answer to a command, if it is here; answers to earlier ones are dropped."""
        channel = self._live()
        channel.pump()
        while channel.messages:
            message = channel.messages.popleft()
            if message.content["answers"] == number:
                return message
        return None

    def _look_after(self, patience: Patience) -> None:
        """Wait for news of a process that has not answered yet; whether it lives and is in time."""
        channel, server = self._live(), self._server
        assert server is not None
        if channel.closed or self.pid in server.deaths or not server.alive:
            raise self._death()
        if patience.over:
            raise self._expired(patience.seconds)
        patience.wait([channel, server.channel])
        channel.pump()
        server.pump()

    def _death(self) -> WorkerDied:
        """What became of a process that is gone, or that closed its end."""
        code = self._bury()
        self.kill()
        self._died = WorkerDied(_ended(code), self._last_words())
        return self._died

    def _expired(self, seconds: float) -> WorkerDied:
        at = self._words[control.AT]  # one that was stopped goes on when its stack is asked for
        trace = self._stack()
        self.kill()
        self._words[control.AT] = at
        self._died = WorkerDied(f"took longer than {seconds:g} s and was killed", trace, late=True)
        return self._died

    def stack(self) -> str:
        """Where the process stands, which goes on; empty if it does not say so within half a second.

        For another thread than the one that steps: nothing is sent or received that could come between.
        """
        with suppress(ProcessLookupError):
            os.kill(self.pid, control.DUMP)
        trace = self._written(lambda: self.alive)
        os.ftruncate(self._log, 0)
        os.lseek(self._log, 0, os.SEEK_SET)
        return trace

    def _stack(self) -> str:
        """Where the process stands, as it writes it itself; empty if it does not within half a second."""
        server = self._server
        assert server is not None
        for signum in (control.DUMP, signal.SIGCONT):  # one that is stopped cannot write
            server.signal(self.pid, signum)
        return self._written(lambda: server.alive)

    def _written(self, goes_on: Callable[[], bool]) -> str:
        """What is in the log, once it grows no more."""
        until = monotonic() + _DUMP_SECONDS
        seen = 0
        while goes_on() and monotonic() < until:
            sleep(_SLICE_SECONDS / 2)
            size = os.fstat(self._log).st_size
            if size and size == seen:
                break
            seen = size
        return self._last_words()

    def _last_words(self) -> str:
        """The stack in the log, innermost call first, down to where our own loop begins."""
        lines = os.pread(self._log, _LONGEST_LOG, 0).decode(errors="replace").strip().splitlines()
        own = next((i for i, line in enumerate(lines) if f'"{worker.__file__}"' in line), len(lines))
        return "\n".join(lines[:own])

    # --- steps ---

    def begin(self, slot: int) -> None:
        """Have it step its share; the actions are in shared memory."""
        words = self._words
        self._number = number = self._number + 1
        words[control.SLOT] = slot
        self._fence()
        words[control.COMMAND] = number
        self._fence()
        if words[control.WORKER_SLEEPS] and self._channel is not None:
            self._channel.wake()

    def finish(self, patience: Patience) -> Infos:
        """Wait until the step is done; its infos, rows counted within the share.

        Raises:
            WorkerDied: it died before, or took too long and was killed.
            PufferError: an environment raised.
        """
        words, number = self._words, self._number
        if not reaches(words, control.DONE, number, self._spin):
            self._block(patience)
        self._fence()
        if words[control.FAILED] == number:
            self._answer_to_step(patience)
        size = words[control.INFOS]
        if not size:
            return ()
        text = self._answer_to_step(patience).data if size == control.BY_MESSAGE else bytes(self._infos[:size])
        return [(row, info) for row, info in json.loads(text)]

    def _block(self, patience: Patience) -> None:
        words = self._words
        words[control.MAIN_SLEEPS] = 1
        self._fence()
        try:
            while words[control.DONE] != self._number:
                try:
                    self._look_after(patience)
                except WorkerDied as died:
                    if died.late or words[control.DONE] != self._number:  # who died after the step was done has done it
                        raise
        finally:
            words[control.MAIN_SLEEPS] = 0

    def _answer_to_step(self, patience: Patience) -> Message:
        while True:
            message = self._taken(self._number)
            if message is not None:
                return _unless_error(message)
            self._look_after(patience)


def _unless_error(message: Message) -> Message:
    told = message.content.get("error")
    if told is None:
        return message
    kind = getattr(errors, told["class"], EnvError)
    if not (isinstance(kind, type) and issubclass(kind, PufferError)):
        kind = EnvError
    raise kind(told["message"], remedy=told["remedy"]) from WorkerTrace(f"in the worker:\n{told['trace']}")


def _ended(code: int | None) -> str:
    if code is None:
        return "died with the fork server"
    if code >= 0:
        return f"exited with code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
