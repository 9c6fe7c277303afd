"""The main process's side of the fork server (see `zygote`): started when first needed, ended with the process."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from puffer_core.errors import ResourceError
from puffer_core.vector.channel import Channel, channel_pair, readable

STARTUP_SECONDS = 60.0
"""For the server to start, or to import an environment's module."""

_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from puffer_core.vector.zygote import main; main(int(sys.argv[1]))"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Variables that say how many threads numeric libraries start."""


class ServerDied(Exception):  # noqa: N818  it is caught, and the server replaced
    """The fork server is gone, and with it every worker that it forked."""


class ForkServer:
    """A running fork server.

    Raises:
        ResourceError: it cannot be started.
    """

    def __init__(self) -> None:
        self._channel, other = channel_pair()
        self._lock = threading.RLock()
        self._asked = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._imported: set[str] = set()
        self.pid_of_main = os.getpid()
        self.has_threads = False
        """Whether a module that it imported started some: forking it is not safe then."""
        self.deaths: dict[int, int] = {}
        """Exit code by pid of the workers that died; minus the signal where one killed it."""
        try:
            with other:
                self._process = subprocess.Popen(  # noqa: S603  our own program
                    [sys.executable, "-P", "-c", _PROGRAM, str(other.fileno()), *search_path()],
                    pass_fds=(other.fileno(),),
                    env=_environ(),
                    stdin=subprocess.DEVNULL,
                    stdout=_stderr(),
                    start_new_session=True,
                )
        except OSError as error:
            self._channel.close()
            raise ResourceError(f"the process that forks workers cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._process.pid

    @property
    def channel(self) -> Channel:
        """Readable when the server has news."""
        return self._channel

    @property
    def alive(self) -> bool:
        """Whether it was, when last heard of."""
        return not self._channel.closed

    def prepare(self, module: str) -> None:
        """Import a module in the server, so that workers have it.

        Raises:
            ServerDied: the import ended the server, or took too long.
        """
        if module not in self._imported:
            answer = self._ask({"do": "import", "module": module, **_surroundings()}, ())
            self._imported.add(module)
            self.has_threads = answer["threads"] > 1

    def spawn(self, sock: int, log: int) -> int:
        """Fork a worker that serves a socket and writes its last words to `log`; its pid.

        Raises:
            OSError: there can be no more processes.
            ServerDied: the server ended meanwhile, or does not answer.
        """
        output = os.open(os.devnull, os.O_WRONLY) if _stderr() == subprocess.DEVNULL else os.dup(_stderr())
        try:
            return int(self._ask({"do": "spawn", **_surroundings()}, (sock, log, output))["spawned"])
        finally:
            os.close(output)

    def _ask(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        """The answer to a request; that to one whose asker was interrupted has another number, and is left.

        Raises:
            OSError: the server says that it cannot.
            ServerDied: it ended meanwhile, or does not answer.
        """
        with self._lock:
            self._asked = number = self._asked + 1
            until = monotonic() + STARTUP_SECONDS
            try:
                self._channel.send({"number": number, **request}, fds=fds, timeout=STARTUP_SECONDS)
                while number not in self._answers:
                    if self._channel.closed or monotonic() > until:
                        raise ConnectionError
                    readable([self._channel], until - monotonic())
                    self.pump()
            except OSError:
                self.kill()
                raise ServerDied from None
            answer = self._answers.pop(number)
        if "error" in answer:
            raise OSError(answer["error"])
        return answer

    def pump(self) -> None:
        """Take in what the server has to say."""
        with self._lock:
            self._channel.pump()
            while self._channel.messages:
                content = self._channel.messages.popleft().content
                if "died" in content:
                    self.deaths[content["died"]] = content["code"]
                else:
                    self._answers[content["answers"]] = content

    def signal(self, pid: int, signum: int) -> None:
        """Send a signal to a worker if it lives; SIGKILL also to the processes that it started."""
        with suppress(OSError):
            self._channel.send({"do": "signal", "pid": pid, "signum": int(signum)}, timeout=0.1)

    def kill(self) -> None:
        """End the server with all its workers, at once."""
        self._channel.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def close(self) -> None:
        """End the server with all its workers. Safe to call twice."""
        if self.pid_of_main != os.getpid():
            return
        self._channel.close()  # that is what it ends on
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()


_servers: list[ForkServer] = []
_starting = threading.Lock()
_unprepared: set[str] = set()


def _begin_anew() -> None:
    """In a process that was forked: the servers are the parent's, and who held the lock there is not here."""
    global _starting  # noqa: PLW0603  a lock that is held cannot be let go
    _starting = threading.Lock()
    _servers.clear()


os.register_at_fork(after_in_child=_begin_anew)


def fork_server(module: str) -> ForkServer:
    """The server that forks workers which need `module`: the running one, or a new one.

    Raises:
        ResourceError: it cannot be started.
    """
    with _starting:
        server = _running()
        if module in _unprepared:
            return server
        with suppress(ServerDied):
            server.prepare(module)
            if not server.has_threads:
                return server
        _unprepared.add(module)  # importing it ended the server or started threads: each worker then imports it itself
        return _running()


def _running() -> ForkServer:
    for server in reversed(_servers):
        server.pump()
        if not server.alive:
            server.close()
            _servers.remove(server)
        elif not server.has_threads:  # one that has some keeps its workers, and gets no more
            return server
    server = _started()
    _servers.append(server)
    return server


def _started() -> ForkServer:
    server = ForkServer()
    atexit.register(server.close)
    return server


def search_path() -> list[str]:
    """Where this process finds modules, for another that shall find the same."""
    entries: list[object] = [*sys.path]  # what is no text, import passes over too
    return [entry or _cwd() for entry in entries if isinstance(entry, str)]


def _environ() -> dict[str, str]:
    """One thread a worker: there are as many workers as cores."""
    return {**os.environ, **dict.fromkeys(THREADS, "1")}


def _surroundings() -> dict[str, Any]:
    return {"path": search_path(), "environ": _environ(), "cwd": _cwd()}


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return "/"


def _stderr() -> int:
    """The descriptor of stderr, or what stands for none."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
