"""What a test of processes must be able to see: who is alive, what they hold, and a limit on how long it may take."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_PROC = Path("/proc")
_GRACE = 30.0


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Fail what takes longer: by SIGALRM, and where no handler runs by ending the process, with every stack dumped.

    For the main thread, on POSIX. Also a decorator.

    Example:
        >>> with deadline(10):
        ...     sum(range(10))
        45
    """

    def late(*_: object) -> None:
        faulthandler.dump_traceback()
        pytest.fail(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    faulthandler.dump_traceback_later(seconds + _GRACE, exit=True)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def within(seconds: float, is_so: Callable[[], bool]) -> float:
    """Seconds until `is_so()`, asked every millisecond.

    Raises:
        AssertionError: it is not so in time.

    Example:
        >>> within(1.0, lambda: True) < 1.0
        True
    """
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < seconds, f"not so within {seconds} s"
        time.sleep(0.001)
    return time.monotonic() - begun


def parent_of(pid: int) -> int:
    """The parent of a process; 0 where the process is gone or a zombie.

    Example:
        >>> parent_of(os.getpid()) == os.getppid()
        True
    """
    try:
        state, parent = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state in "ZX" else int(parent)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie.

    Example:
        >>> is_alive(os.getpid())
        True
    """
    return parent_of(pid) != 0


def descendants(pid: int | None = None) -> list[int]:
    """Children of a process (this one where None), their children and so on, parents first; no zombies.

    Example:
        >>> os.getpid() in descendants(os.getppid())
        True
    """
    parents = {int(entry.name): parent_of(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    found = [pid or os.getpid()]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def open_files(pid: int | None = None) -> int:
    """Open file descriptors of a process.

    Example:
        >>> open_files() > 0
        True
    """
    return len(list((_PROC / str(pid or os.getpid()) / "fd").iterdir()))


def resident_bytes(pid: int | None = None) -> int:
    """Memory of a process that is its own or shared and lies in RAM, bytes.

    Example:
        >>> resident_bytes() > 1_000_000
        True
    """
    pages = int((_PROC / str(pid or os.getpid()) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def shared_memory(pid: int | None = None) -> list[str]:
    """Shared memory that a process holds open or has mapped: memory files, and files in /dev/shm; sorted.

    Those without a name in the file system end in `(deleted)`; they vanish with the last process that holds them.

    Example:
        >>> file = os.memfd_create("seen")
        >>> "/memfd:seen (deleted)" in shared_memory()
        True
        >>> os.close(file)
    """
    process = _PROC / str(pid or os.getpid())
    found = {" ".join(line.split()[5:]) for line in (process / "maps").read_text().splitlines()}
    for entry in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(entry.readlink()))
    return sorted(path for path in found if path.startswith(("/memfd:", "/dev/shm/")))  # noqa: S108


def workers(env: object) -> list[int]:
    """Pids of the processes that step a vector env's environments; empty where none does.

    Example:
        >>> workers(object())
        []
    """
    return list(getattr(env, "pids", ()))
