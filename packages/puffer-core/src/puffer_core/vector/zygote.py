"""The fork server: a small process that has everything imported and forks a worker in a few milliseconds.

It is a program of its own, started once by each main process that needs workers (see `forkserver`). The main process
never forks, so it may have threads; this one has a single thread, so forking it is safe. It knows its workers until
they are reaped, so that killing one can never hit another process, and reports each death at once. When the main
process is gone, it kills them all and ends.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from puffer_core.vector import worker
from puffer_core.vector.channel import Channel, Message

_CHECK_MILLISECONDS = 250
_PR_SET_PDEATHSIG = 1


def main(fd: int) -> NoReturn:
    """Serve until the socket's other end closes; then end without ado, since the workers that die now still signal."""
    try:
        Zygote(Channel(socket.socket(fileno=fd))).serve()
    except BaseException:  # noqa: BLE001  whatever it is, it is the end
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class Zygote:
    """Forks workers on request and watches them."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._main = os.getppid()
        self._pids: set[int] = set()
        self._awake, waker = socket.socketpair()
        self._waker = waker
        for end in (self._awake, waker):
            end.setblocking(False)  # noqa: FBT003
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        """Until the main process closes its end, or is gone."""
        self._take_signals()
        poll = select.poll()
        for fd in (self._channel.fileno(), self._awake.fileno()):
            poll.register(fd, select.POLLIN)
        try:
            while os.getppid() == self._main:
                ready = {fd for fd, _ in poll.poll(_CHECK_MILLISECONDS)}
                if self._awake.fileno() in ready:
                    with suppress(BlockingIOError):
                        self._awake.recv(4096)
                self._reap()
                if self._channel.fileno() in ready:
                    self._answer()
        except (EOFError, ConnectionError):
            pass  # the main process is gone, or is done with us
        finally:
            for pid in self._pids:
                _kill_group(pid)

    def _take_signals(self) -> None:
        """Handlers that do nothing: ignoring a signal would be inherited by the programs that environments start."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def _reap(self) -> None:
        for pid in list(self._pids):
            if hasattr(os, "waitid"):  # macOS has it since Python 3.13
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    continue
                _kill_group(pid)  # what it started; while it is not reaped, nobody else can have its number
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._pids.discard(pid)
                self._channel.send({"died": pid, "code": os.waitstatus_to_exitcode(status)})

    def _answer(self) -> None:
        message = self._channel.receive()
        if message is None:
            return
        request = message.content
        if request["do"] == "signal":
            self._signal(request["pid"], request["signum"])
            return
        answer = self._import(request) if request["do"] == "import" else self._spawn(message)
        self._channel.send({"answers": request["number"], **answer})

    def _signal(self, pid: int, signum: int) -> None:
        if pid in self._pids and signum == signal.SIGKILL:
            _kill_group(pid)
        elif pid in self._pids:
            os.kill(pid, signum)

    def _import(self, request: dict[str, Any]) -> dict[str, Any]:
        _surround(request)
        with suppress(BaseException):  # the worker imports it again, and reports what that raises
            importlib.import_module(request["module"])
        gc.collect()
        gc.freeze()  # keeps the collector of a worker from touching, hence copying, every page
        self._take_signals()
        return {"threads": _threads()}

    def _spawn(self, message: Message) -> dict[str, Any]:
        sys.stdout.flush()
        sys.stderr.flush()
        server = os.getpid()
        try:
            pid = os.fork()
            if pid == 0:
                self._become_worker(message, server)
        except OSError as error:  # no more processes, or no memory
            return {"error": str(error)}
        finally:
            for fd in message.fds:
                os.close(fd)
        self._pids.add(pid)
        return {"spawned": pid}

    def _become_worker(self, message: Message, server: int) -> NoReturn:
        code = 1
        try:
            if sys.platform == "linux":
                self._libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
            if os.getppid() == server:
                os.setpgid(0, 0)
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self._channel.close()
                self._awake.close()
                self._waker.close()
                _surround(message.content)
                sock, log, output = message.fds
                for fd in (1, 2):
                    os.dup2(output, fd)
                os.close(output)
                worker.main(Channel(socket.socket(fileno=sock)), log)
                code = 0
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _surround(request: dict[str, Any]) -> None:
    """Take over the main process's path, variables and directory as they are now."""
    sys.path[:] = request["path"]
    if dict(os.environ) != request["environ"]:
        os.environ.clear()
        os.environ.update(request["environ"])
    with suppress(OSError):  # it may be gone; who needs it will say so
        os.chdir(request["cwd"])


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def _kill_group(pid: int) -> None:
    """A worker with what it started. Early in its life it has no group of its own yet."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
