"""What every worker shares: it reads its settings, and times whole updates after a warm-up."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def settings() -> dict[str, Any]:
    """The worker's only argument, a JSON object."""
    return json.loads(sys.argv[1])


def answer(**values: Any) -> None:
    """The worker's last line."""
    print(json.dumps(values), flush=True)


class Stopwatch:
    """Steps a second between update boundaries, from the first one after the warm-up."""

    def __init__(self, warm_up: float, seconds: float) -> None:
        self.warm_up, self.seconds = warm_up, seconds
        self.created = time.perf_counter()
        self.boundaries = 0
        self.began: tuple[float, int] | None = None
        self.rate: float | None = None
        self.first_update: float | None = None
        """When it ended, in seconds since the epoch."""

    def boundary(self, steps: int) -> bool:
        """An update ended after `steps` env steps in all; True once enough was measured."""
        now = time.perf_counter()
        self.boundaries += 1
        if steps and self.first_update is None:
            self.first_update = time.time()
        if self.began is None:
            if self.boundaries > 2 and now - self.created >= self.warm_up:
                self.began = (now, steps)
        elif now - self.began[0] >= self.seconds:
            self.rate = (steps - self.began[1]) / (now - self.began[0])
        return self.rate is not None
