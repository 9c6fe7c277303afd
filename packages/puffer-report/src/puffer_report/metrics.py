"""Which metrics there are, and where on the page each belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from puffer_report.records import Record

TRAINING, RECENT, EVALUATED = "episode/return", "episode/return_recent", "eval/return"
COUNTERS = {
    "env/restarts": "workers restarted",
    "env/lost_transitions": "transitions lost with a worker",
}
"""Metrics that are 0 while all is well, and what they count since the line before."""
TOTALS = {
    "system/saves_failed": "checkpoints that could not be written",
    "update/skipped": "updates undone, since something in them was not finite",
}
"""Likewise, since the run began."""
MOST_PANELS = 80
"""Small figures on a page: browsers take a second for that many."""
_ELSEWHERE = frozenset({TRAINING, RECENT, EVALUATED, "eval/return_std", "time/wall"})
_ORDER = ("loss", "policy", "value", "", "episode", "eval", "update", "env", "time", "logger")


def panels(runs: Sequence[Record]) -> list[str]:
    """Every metric worth a small figure, in the order they are looked for: losses first, the machine's own last."""
    return sorted({key for run in runs for key, column in run.metrics.values.items() if _told(key, column)}, key=_place)


def is_counter(key: str) -> bool:
    """Whether a metric counts mishaps.

    Example:
        >>> is_counter("env/restarts"), is_counter("logger/wandb/dropped"), is_counter("loss/value")
        (True, True, False)
    """
    return key in COUNTERS or key in TOTALS or (key.startswith("logger/") and key.endswith("/dropped"))


def _told(key: str, column: Iterable[float]) -> bool:
    known = np.asarray(column)
    known = known[np.isfinite(known)]
    return key not in _ELSEWHERE and not is_counter(key) and len(known) > 1


def _prefix(key: str) -> str:
    return key.rpartition("/")[0].partition("/")[0]


def _place(key: str) -> tuple[int, str, str]:
    prefix = _prefix(key)
    known = _ORDER.index(prefix) if prefix in _ORDER else len(_ORDER)
    return (len(_ORDER) + 1 if prefix == "system" else known, prefix, key)
