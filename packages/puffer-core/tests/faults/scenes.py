"""What fault tests run in a process of its own: `python scenes.py NAME JSON` prints JSON, a line a case.

A process of its own, because it may die or hang, and because its memory, files and stderr are then those of the scene.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from puffer_core.errors import PufferError
from puffer_core.vector import environment_seed
from puffer_testing.driving import Drive, chaos_vector_env
from puffer_testing.processes import descendants, open_files, resident_bytes, shared_memory, workers

SEED = 7
VICTIM = 2
"""The environment that fails, of four."""


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def matrix(*, vector: dict[str, Any], phase: str, faults: list[str], marker: str, steps: int = 15) -> None:
    """Each fault once, in an env of its own; then what came of it."""
    for number, fault in enumerate(faults):
        print(f"### {fault}", file=sys.stderr, flush=True)
        place = {"phase": phase.removeprefix("auto"), "times": 1, "marker": f"{marker}-{number}"}
        if phase != "init":
            place["seed"] = environment_seed(SEED, VICTIM)
        if phase in ("reset", "autoreset"):
            place["episode"] = int(phase == "autoreset")
        if phase == "step":
            place["step"] = 2
        say(fault=fault, **attempt(vector, {"fault": fault, **place}, steps))


def attempt(vector: dict[str, Any], options: dict[str, Any], steps: int) -> dict[str, Any]:
    """Make, step and close an env; the outcome in words, and how long everything took."""
    begun = time.monotonic()
    facts: dict[str, Any] = {"outcome": "survived", "message": "", "lost": 0, "restarts": 0}
    env = None
    try:
        env = chaos_vector_env({"num_envs": 4, **vector}, **options)
        drive = Drive(env, seed=SEED)
        drive.steps(steps)
        facts["lost"] = drive.lost
        facts["restarts"] = env.metrics()["env/restarts"] if hasattr(env, "metrics") else 0
        env.close()
    except BaseException as error:  # noqa: BLE001
        facts["outcome"] = type(error).__name__ if not isinstance(error, PufferError) else f"exit {error.exit_code}"
        facts["message"] = "".join(traceback.format_exception(error))
    closing = time.monotonic()
    if env is not None:
        env.close()
    return {**facts, "seconds": closing - begun, "closing": time.monotonic() - closing}


def endless(*, vector: dict[str, Any]) -> None:
    """Step for ever; says first which processes it has started, and the shared memory that they all hold."""
    env = chaos_vector_env(vector)
    drive = Drive(env)
    drive.steps(3)
    started = descendants()
    say(pids=started, shared=[path for pid in [os.getpid(), *started] for path in shared_memory(pid)])
    while True:
        drive.steps()


def lifetimes(*, vector: dict[str, Any], times: int, crash: bool) -> None:
    """Make and close again and again; what is held after a while, and at the end."""
    warm, slowest = max(5, times // 10), 0.0
    for number in range(times):
        if number == warm:
            say(**held())
        env = chaos_vector_env(vector)
        Drive(env).steps(3)
        if crash:
            for pid in workers(env):
                os.kill(pid, signal.SIGKILL)
        begun = time.monotonic()
        env.close()
        env.close()
        slowest = max(slowest, time.monotonic() - begun)
        del env
    say(**held(), slowest=slowest)


def held() -> dict[str, Any]:
    gc.collect()
    return {
        "files": open_files(),
        "resident": resident_bytes(),
        "shared": len(shared_memory()),
        "children": len(descendants()),
    }


SCENES: dict[str, Callable[..., None]] = {"matrix": matrix, "endless": endless, "lifetimes": lifetimes}

if __name__ == "__main__":
    SCENES[sys.argv[1]](**json.loads(sys.argv[2]))
