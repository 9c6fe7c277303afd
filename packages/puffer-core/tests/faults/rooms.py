"""A trainer, an env and a logger that say where they are, and do there what they are told. Subprocesses import this.

`FAULT_ORDERS` is JSON: `phase` (start, collect, act, learn, evaluate, save: the state is taken, write: within each
operation on a checkpoint's files, close), `at` (which visit, from 1), `do` (SIGTERM, SIGINT, raise, allocate, bytes,
fill), `times`, `group`, `hangs` (the logger does it once more when it is closed, and never returns). When that was
stands in the file `FAULT_DONE`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_testing.failing_files import FailingFiles, Operation
from puffer_testing.loading import load_module

parts = load_module(Path(__file__).parents[1] / "run" / "parts.py", "rooms_parts")
ORDERS = json.loads(os.environ.get("FAULT_ORDERS", "{}"))
VISITS: Counter[str] = Counter()
MAIN = os.environ.setdefault("FAULT_MAIN", str(os.getpid())) if ORDERS else ""
WHERE = {"training": False}
KEPT: list[Any] = []


def visit(phase: str) -> None:
    """Somebody is in a phase of the main process; obey if this is the visit that is meant."""
    if str(os.getpid()) != MAIN or ORDERS.get("phase") != phase:
        return
    VISITS[phase] += 1
    if VISITS[phase] == ORDERS.get("at", 1):
        for _ in range(ORDERS.get("times", 1)):
            obey(ORDERS["do"])


def write(operation: Operation) -> None:
    """A file of the run is about to be written, forced to disk, renamed or removed."""
    if "checkpoints" in operation.path.parts:
        visit("write")


def obey(order: str) -> None:
    with Path(os.environ["FAULT_DONE"]).open("a") as done:
        done.write(f"{time.monotonic()}\n")
    if order == "raise":
        raise RuntimeError("the plugin broke")
    if order == "allocate":
        KEPT.append(np.ones(2**36, np.uint8))
    elif order == "bytes":
        KEPT.append(bytearray(2**36))
    elif order == "fill":
        while True:
            KEPT.append(bytearray(2**20))
    elif ORDERS.get("group"):
        os.killpg(os.getpgrp(), signal.Signals[order])
    else:
        os.kill(os.getpid(), signal.Signals[order])


class Learner(parts.Search):  # type: ignore[misc,name-defined]
    """Notes where it is: before a collection, after it, and while its state is taken."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(parts.SearchConfig(horizon=8), context)
        visit("start")
        if ORDERS.get("phase") == "write":
            KEPT.append(FailingFiles(Path("run"), write).__enter__())

    def update(self) -> dict[str, float]:
        WHERE["training"] = True
        metrics = super().update()
        visit("learn")
        WHERE["training"] = False
        return metrics  # type: ignore[no-any-return]

    def state_dict(self) -> dict[str, Any]:
        visit("save")
        return super().state_dict()  # type: ignore[no-any-return]


class Policy(parts.Linear):  # type: ignore[misc,name-defined]
    """A policy of a few numbers, which notes when it acts."""

    def __init__(self, config: Any, interface: Any) -> None:
        super().__init__(parts.LinearConfig(), interface)

    def apply(self, *arguments: Any) -> Any:
        visit("act")
        return super().apply(*arguments)


class Room(gymnasium.Env[Any, Any]):
    """Episodes of five steps, in training or in an evaluation."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        visit("collect" if WHERE["training"] or ORDERS.get("phase") == "collect" else "evaluate")
        self.steps += 1
        return np.full(2, self.steps / 5, np.float32), float(action), self.steps == 5, False, {}


class Diary:
    """A metric logger."""

    def __init__(self, config: Any) -> None:
        pass

    def open(self, run: Any, last_step: int | None) -> None:
        pass

    def log(self, step: int, metrics: Any) -> None:
        pass

    def artifact(self, step: int, name: str, kind: Any, value: Any) -> None:
        pass

    def close(self) -> None:
        visit("close")
        if ORDERS.get("hangs"):
            obey(ORDERS["do"])
            threading.Event().wait()
