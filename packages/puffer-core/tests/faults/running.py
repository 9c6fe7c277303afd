"""Runs of `rooms` as processes of their own. Tests load this module by its path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puffer_core.checkpoints.reading import completed, is_sound

HERE = Path(__file__).parent
TRAIN = [
    *("train", "py:rooms:Learner", "py:rooms:Room", "--policy", "py:rooms:Policy", "--backend", "numpy"),
    *(
        "--logger",
        "py:rooms:Diary",
        "--vector.num-envs",
        "4",
        "--vector.mode",
        "serial",
        "--total-steps",
        "128",
        "--eval-every",
        "64",
    ),
    *("--eval-episodes", "4", "--checkpoint-every", "32", "--run", "run"),
]


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code, what it said, seconds from the last thing that was done to it."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    run: Path

    def left_behind(self, seconds: float) -> list[int]:
        """Pids of processes of the run that are alive so long after its end."""
        mark, until = f"FAULT_DONE={self.run.parent}/done".encode(), time.monotonic() + seconds
        while (alive := [pid for pid, environ in _environs() if mark in environ]) and time.monotonic() < until:
            time.sleep(0.01)
        return alive

    @property
    def sound(self) -> list[str]:
        """Names of the checkpoints, every one of them sound."""
        paths = completed(self.run / "checkpoints")
        assert all(map(is_sound, paths)), paths
        return [path.name for path in paths]


def train(where: Path, *options: str, command: list[str] = TRAIN, wrapper: str = "", **orders: Any) -> Ended:
    """`puffer train`, with orders for `rooms`."""
    where.mkdir(exist_ok=True)
    done = where / "done"
    environ = {"PYTHONPATH": str(HERE), "FAULT_ORDERS": json.dumps(orders), "FAULT_DONE": str(done)}
    program = ["-c", wrapper] if wrapper else ["-m", "puffer_core"]
    process = subprocess.Popen(
        [sys.executable, *program, *command, *options],
        cwd=where,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    ended = time.monotonic()
    acts = [float(line) for line in done.read_text().splitlines()] if done.exists() else [ended]
    return Ended(process.returncode, out, err, ended - acts[-1], where / "run")


def _environs() -> Iterator[tuple[int, bytes]]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes()
