"""Ways in which an environment can fail, for real: none of them is simulated. `ChaosEnv` uses them by name."""

from __future__ import annotations

import ctypes
import faulthandler
import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np


class UnprintableError(Exception):
    """An exception that raises again when it is shown."""

    def __str__(self) -> str:
        raise RuntimeError("this exception cannot be shown")

    __repr__ = __str__


def chaos_raises() -> NoReturn:
    raise RuntimeError("chaos was asked for")


def chaos_raises_unpicklable() -> NoReturn:
    raise RuntimeError("chaos with a lock in it", threading.Lock(), lambda: None)


def chaos_raises_unprintable() -> NoReturn:
    raise UnprintableError


def chaos_runs_out_of_memory() -> NoReturn:
    raise MemoryError("chaos asked for more memory than there is")


def chaos_recurses() -> NoReturn:
    chaos_recurses()


def chaos_exits() -> NoReturn:
    raise SystemExit(3)


def chaos_interrupts() -> NoReturn:
    raise KeyboardInterrupt


def chaos_os_exit() -> NoReturn:
    os._exit(7)


def chaos_segfaults() -> None:
    ctypes.string_at(0)


def chaos_overflows_the_stack() -> None:
    """In C, where no RecursionError comes in between."""
    faulthandler._stack_overflow()  # type: ignore[attr-defined]


def chaos_aborts() -> NoReturn:
    os.abort()


def chaos_kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def chaos_stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def chaos_loops() -> NoReturn:
    while True:
        pass


def chaos_loops_in_c() -> None:
    """Holds the GIL, and checks for no signals: no other thread and no handler runs."""
    deque(itertools.repeat(None), maxlen=0)


def chaos_sleeps() -> None:
    time.sleep(1e6)


def chaos_loops_deaf() -> NoReturn:
    """Ignores every request to end, as simulators with handlers of their own do."""
    chaos_installs_handlers()
    chaos_loops()


def chaos_prints() -> None:
    """Through Python and past it."""
    print("chaos prints", flush=True)  # noqa: T201
    os.write(1, b"chaos writes to descriptor 1\n")


def chaos_changes_directory() -> None:
    os.chdir(tempfile.gettempdir())


def chaos_installs_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def chaos_starts_a_thread() -> None:
    """A thread that is no daemon, so that its process does not end by itself."""
    threading.Thread(target=chaos_sleeps).start()


def chaos_closes_files() -> None:
    """Every descriptor above the standard three, as programs that become daemons do."""
    os.closerange(3, 1024)


def chaos_replaces_streams() -> None:
    sys.stdout = sys.stderr = None


ACTS: dict[str, Callable[[], None]] = {
    "raise": chaos_raises,
    "unpicklable": chaos_raises_unpicklable,
    "unprintable": chaos_raises_unprintable,
    "memory": chaos_runs_out_of_memory,
    "recursion": chaos_recurses,
    "exit": chaos_exits,
    "interrupt": chaos_interrupts,
    "os-exit": chaos_os_exit,
    "segfault": chaos_segfaults,
    "overflow": chaos_overflows_the_stack,
    "abort": chaos_aborts,
    "kill": chaos_kills_itself,
    "stop": chaos_stops_itself,
    "loop": chaos_loops,
    "c-loop": chaos_loops_in_c,
    "deaf-loop": chaos_loops_deaf,
    "sleep": chaos_sleeps,
    "print": chaos_prints,
    "chdir": chaos_changes_directory,
    "handlers": chaos_installs_handlers,
    "thread": chaos_starts_a_thread,
    "close-files": chaos_closes_files,
    "no-streams": chaos_replaces_streams,
}
"""What is done in a phase, by name. The first seven raise, the next five end the process, the next five never return;
the rest leave something behind that should harm nobody."""

RAISE = ("raise", "unpicklable", "unprintable", "memory", "recursion", "exit", "interrupt")
DIE = ("os-exit", "segfault", "overflow", "abort", "kill")
HANG = ("stop", "loop", "c-loop", "deaf-loop", "sleep")
LITTER = ("print", "chdir", "handlers", "thread", "close-files", "no-streams")


def _poisoned(observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    wrong = observation.copy()
    wrong.flat[-1] = np.nan
    return wrong


OBSERVATIONS: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "shape": lambda observation: np.append(observation, 0.0),
    "dtype": lambda observation: observation.astype(np.complex128),
    "text": lambda _: "an observation",
    "nan": _poisoned,
    "bounds": lambda observation: -1.0 - observation,
    "none": lambda _: None,
    "keys": lambda observation: {"unheard-of": observation},
}
"""Wrong observations, by name: what stands in the right one's place."""

OUTCOMES: dict[str, dict[str, Any]] = {
    "reward-nan": {"reward": float("nan")},
    "reward-none": {"reward": None},
    "reward-text": {"reward": "much"},
    "info-unpicklable": {"info": {"lock": threading.Lock(), "call": lambda: None}},
    "info-large": {"info": {"text": "x" * 1_000_000}},
    "info-none": {"info": None},
}
"""Odd rewards and infos of a step, by name."""
