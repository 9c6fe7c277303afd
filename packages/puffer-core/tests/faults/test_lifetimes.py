"""W7, W8: nothing stays behind, whoever dies and however often."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from puffer_testing.processes import is_alive, within

VECTOR = {"mode": "process", "num_envs": 4, "workers": 2}
MEGABYTE = 1 << 20


@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.faults)])
def test_no_orphan_when_the_main_process_is_killed(
    group: bool, times: int, begin: Callable[..., Any], injecting: Callable[..., Any]
) -> None:
    who = "its whole process group" if group else "the main process alone"
    with injecting("W7", f"SIGKILL {who}", "no process left after 1 s, no shared memory with a name") as row:
        for _ in range(times):
            with begin("endless", vector=VECTOR) as (process, said):
                assert len(said["pids"]) >= 2
                assert all(path.endswith("(deleted)") for path in said["shared"]), said["shared"]
                assert said["shared"], "no shared memory is held, so nothing was tested"
                killed = time.monotonic()
                (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
                within(10.0, lambda said=said: not any(map(is_alive, said["pids"])))
                row.took(time.monotonic() - killed)


@pytest.mark.parametrize(
    ("crash", "times"),
    [
        (False, 12),
        (True, 8),
        pytest.param(False, 200, marks=pytest.mark.faults),
        pytest.param(True, 50, marks=pytest.mark.faults),
    ],
)
def test_what_is_held_stays_constant(
    crash: bool, times: int, play: Callable[..., Any], injecting: Callable[..., Any]
) -> None:
    what = "make, kill every worker, close" if crash else "make and close"
    expected = "open files, processes and shared memory constant, memory within 8 MiB; close twice, at most 2 s"
    with injecting("W8", what, expected) as row:
        scene = play("lifetimes", 60 + 2 * times, vector={**VECTOR, "isolate": True}, times=times, crash=crash)
        assert scene.status == 0, scene.stderr
        early, late = scene.lines
        slowest = late.pop("slowest")
        assert late.pop("resident") - early.pop("resident") < 8 * MEGABYTE
        assert late == early
        assert slowest < 10
        row.injected, row.worst_seconds = times, round(slowest, 3)
