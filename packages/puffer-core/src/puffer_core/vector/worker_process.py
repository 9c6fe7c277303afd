"""A worker as the main process sees it: started, told what to do, waited for, killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Any

import numpy as np

from puffer_core import errors
from puffer_core.contracts.env import Infos
from puffer_core.errors import EnvError, PufferError, ResourceError
from puffer_core.vector import control
from puffer_core.vector.channel import Channel, Message, channel_pair, readable
from puffer_core.vector.forkserver import ForkServer, ServerDied, fork_server
from puffer_core.vector.last_words import LastWords
from puffer_core.vector.memory import describe
from puffer_core.vector.waiting import SLICE_SECONDS, Fence, Patience, reaches

_DYING_SECONDS = 1.0


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
        self._log = LastWords()
        self._server: ForkServer
        self._channel: Channel | None = None
        self._buried = False
        self._died = WorkerDied("was never started")
        self.doing = ""
        """What it was told last: init, bind, reset, step ..."""
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
        self._log.clear()
        self.doing = "init"
        try:
            self._channel, self._buried = self._forked(), False
        except ServerDied:
            raise WorkerDied("could not be forked: the fork server died") from None
        except OSError as error:
            raise ResourceError(f"a worker cannot be started: {error}") from error
        fds, form = describe({"control": self._row})
        self.ask("init", fds=fds, control=form, spin=self._spin, **message)

    def _forked(self) -> Channel:
        channel, other = channel_pair()
        with ExitStack() as unless_forked, other:
            unless_forked.callback(channel.close)
            self._server = fork_server(self._module)
            self.pid = self._server.spawn(other.fileno(), self._log.fd)
            unless_forked.pop_all()
        return channel

    def place(self) -> tuple[int | None, bool]:
        """The environment of its share that it was last at, None where that is not known, and whether it was reset."""
        return control.place_of(self._words)

    def kill(self) -> None:
        """End the process and see it dead. Safe to call at any time."""
        if self._channel is None:
            return
        if not self._buried:
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
        self._buried = True
        for attempt in range(2):
            until = monotonic() + _DYING_SECONDS
            while self.pid not in server.deaths and server.alive and monotonic() < until:
                if attempt or self._channel is None or not self._channel.closed:
                    server.signal(self.pid, signal.SIGKILL)
                readable([server.channel], SLICE_SECONDS)
                server.pump()
            if self.pid in server.deaths:
                return server.deaths.pop(self.pid)
        server.kill()  # it does not answer; its workers die with it
        return None

    def free(self) -> None:
        """Close the log. The worker must be dead."""
        self._log.close()

    # --- messages ---

    def ask(self, do: str, data: bytes = b"", fds: Sequence[int] = (), **content: Any) -> None:
        """Send a command; `answer` waits for what it gives.

        Raises:
            WorkerDied: it is gone.
        """
        self.doing = do
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
        return self._answer_to(-self._asked, patience)

    def _answer_to(self, number: int, patience: Patience) -> Message:
        """The answer to a command, or with a positive number to a step; answers to earlier ones are dropped."""
        while True:
            channel = self._live()
            channel.pump()
            while channel.messages:
                message = channel.messages.popleft()
                if message.content["answers"] == number:
                    return _unless_error(message)
            self._look_after(patience)

    def _look_after(self, patience: Patience) -> None:
        """Wait for news of a process that has not answered yet; whether it lives and is in time."""
        channel, server = self._live(), self._server
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
        self._died = WorkerDied(_ended(code), self._log.text())
        return self._died

    def _expired(self, seconds: float) -> WorkerDied:
        at = self._words[control.AT]  # one that was stopped goes on when its stack is asked for
        trace = self._dumped(control.DUMP, signal.SIGCONT)  # and one that is stopped cannot write
        self.kill()
        self._words[control.AT] = at
        self._died = WorkerDied(f"took longer than {seconds:g} s and was killed", trace, late=True)
        return self._died

    def stack(self) -> str:
        """Where the process stands, which goes on; empty if it does not say so within half a second.

        For another thread than the one that steps: nothing is received that could come between.
        """
        if self._channel is None:
            return ""
        trace = self._dumped(control.DUMP)
        self._log.clear()
        return trace

    def _dumped(self, *signums: int) -> str:
        """Where the process stands, as it writes it itself when it gets these signals."""
        server = self._server
        for signum in signums:
            server.signal(self.pid, signum)
        return self._log.awaited(lambda: server.alive)

    # --- steps ---

    def begin(self, slot: int) -> None:
        """Have it step its share; the actions are in shared memory."""
        words = self._words
        self.doing = "step"
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
            self._answer_to(number, patience)  # which raises it
        size = words[control.INFOS]
        if not size:
            return ()
        by_message = size == control.BY_MESSAGE
        text = self._answer_to(number, patience).data if by_message else bytes(self._infos[:size])
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
