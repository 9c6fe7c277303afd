"""Schedules: a factor as a pure function of progress, 0 at the start of a run and 1 at its end."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

ScheduleName: TypeAlias = Literal["constant", "linear", "cosine"]
"""Names for configuration models."""


def constant(progress: float) -> float:
    """1 throughout.

    Example:
        >>> constant(0.7)
        1.0
    """
    del progress
    return 1.0


def linear(progress: float) -> float:
    """From 1 to 0 in a straight line; held at the ends.

    Example:
        >>> linear(0.25)
        0.75
    """
    return 1.0 - _within(progress)


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine, without restarts (Loshchilov and Hutter 2017, eq. 5); held at the ends.

    Example:
        >>> cosine(0.5)
        0.5
    """
    return round(0.5 * (1.0 + math.cos(math.pi * _within(progress))), 15)


def schedule(name: ScheduleName, progress: float) -> float:
    """The factor that the schedule called `name` gives.

    Args:
        name: of the schedule.
        progress: share of the run that is done; values outside 0..1 count as the nearest end.

    Raises:
        KeyError: no schedule has this name; configuration models check that.

    Example:
        >>> [schedule("linear", done) for done in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.0]
    """
    return {"constant": constant, "linear": linear, "cosine": cosine}[name](progress)


def _within(progress: float) -> float:
    return min(max(progress, 0.0), 1.0)
