"""What every worker of `vector.py` shares: random actions drawn ahead, and the loop that is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stopwatch import Stopwatch

CHOICES = {"cartpole": 2, "busy": 4, "dict": 2}
_AHEAD = 64


def rate(step: Callable[[Any], Any], asked: dict[str, Any], *, dtype: Any = np.int64) -> float:
    """Env steps a second of `step(actions)`, called with one action a row."""
    rows = asked["rows"]
    drawn = np.random.default_rng(0).integers(0, CHOICES[asked["env"]], (_AHEAD, rows)).astype(dtype)
    actions = list(drawn)
    stopwatch = Stopwatch(asked["warm_up"], asked["seconds"])
    count = 0
    block = max(1, min(64, 512 // rows))
    while not stopwatch.boundary(count * rows):
        for _ in range(block):
            step(actions[count % _AHEAD])
            count += 1
    return stopwatch.rate
