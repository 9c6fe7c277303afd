"""A trainer, a policy and an env that processes of several seeds import by this module's name.

`SEED_ORDERS` is JSON, seed to `raise`, `orphan` or `stop`. `orphan`: it kills the process that started it. `stop`: once
every seed with that order is at its third update, one of them sends SIGTERM to the process that started them; files in
`SEED_PLACE` say who is there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_testing.loading import load_module

parts = load_module(Path(__file__).with_name("parts.py"), "seed_guest_parts")
ORDERS: dict[str, str] = json.loads(os.environ.get("SEED_ORDERS", "{}"))


class Learner(parts.Search):  # type: ignore[misc,name-defined]
    """Learns, and does as it is told."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(parts.SearchConfig(horizon=8), context)

    def update(self) -> dict[str, float]:
        seed = sys.argv[sys.argv.index("--seed") + 1] if "--seed" in sys.argv else ""
        if self.updates == 2 and ORDERS.get(seed) == "raise":
            raise RuntimeError("the learner broke")
        if self.updates == 2 and ORDERS.get(seed) == "orphan":
            os.kill(os.getppid(), signal.SIGKILL)
        if self.updates == 2 and ORDERS.get(seed) == "stop":
            _stop_when_all_are_here(seed)
        return super().update()  # type: ignore[no-any-return]


def _stop_when_all_are_here(seed: str) -> None:
    place = Path(os.environ["SEED_PLACE"])
    (place / f"here-{seed}").touch()
    if all((place / f"here-{other}").exists() for other in ORDERS):
        with suppress(FileExistsError):
            (place / "sent").touch(exist_ok=False)
            os.kill(os.getppid(), signal.SIGTERM)


class Policy(parts.Linear):  # type: ignore[misc,name-defined]
    """A policy of a few numbers."""

    def __init__(self, config: Any, interface: Any) -> None:
        super().__init__(parts.LinearConfig(scale=2.0), interface)


class Room(gymnasium.Env[Any, Any]):
    """Episodes of five steps; going right earns, and the more the later."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.steps += 1
        seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return seen, float(action) * self.steps, self.steps == 5, False, {}
