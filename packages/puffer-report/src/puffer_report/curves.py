"""Curves that a page can hold: thinned without losing an extreme, and several seeds as one line with a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from puffer_report.statistics import interquartile_interval

MOST_POINTS = 2000
"""Of a curve."""


@dataclass(frozen=True)
class Curve:
    """One line of a figure: finite numbers, `x` rising, `[points]` each."""

    x: Float[np.ndarray, "points"]
    y: Float[np.ndarray, "points"]


@dataclass(frozen=True)
class Spread:
    """Several curves as one: their interquartile mean and its interval, `[points]` each."""

    x: Float[np.ndarray, "points"]
    centre: Float[np.ndarray, "points"]
    low: Float[np.ndarray, "points"]
    high: Float[np.ndarray, "points"]


def curve(x: Float[np.ndarray, "lines"], y: Float[np.ndarray, "lines"]) -> Curve:
    """The lines that have both a place and a value.

    Example:
        >>> curve(np.array([1.0, 2.0, 3.0]), np.array([5.0, np.nan, 7.0])).x.tolist()
        [1.0, 3.0]
    """
    known = np.isfinite(x) & np.isfinite(y)
    return Curve(x[known], y[known])


def thinned(full: Curve, most: int = MOST_POINTS) -> Curve:
    """At most so many points (>= 4): the lowest and the highest of each stretch, the first and the last.

    Example:
        >>> noise = np.zeros(100_000)
        >>> noise[54_321] = 9.0
        >>> thin = thinned(Curve(np.arange(100_000.0), noise))
        >>> len(thin.x) <= 2000, float(thin.y.max()), thin.x[[0, -1]].tolist()
        (True, 9.0, [0.0, 99999.0])
    """
    count = len(full.x)
    if count <= most:
        return full
    stretches = (most - 2) // 2
    length = -(-count // stretches)
    rows = np.pad(full.y, (0, stretches * length - count), mode="edge").reshape(stretches, length)
    starts = np.arange(stretches) * length
    extremes = np.concatenate([starts + rows.argmin(axis=1), starts + rows.argmax(axis=1), [0, count - 1]])
    kept = np.unique(np.minimum(extremes, count - 1))
    return Curve(full.x[kept], full.y[kept])


def spread(curves: Sequence[Curve], most: int = 400) -> Spread | None:
    """The curves of several seeds as one, where all of them have values; None where that is nowhere.

    Between its points a curve is taken to be straight. One with more points than are drawn is averaged over
    stretches first: a mean over seeds of single noisy points would show the noise.

    Args:
        curves: two or more.
        most: points of the result, >= 2.

    Example:
        >>> steps = np.array([0.0, 10.0])
        >>> found = spread([Curve(steps, np.array([0.0, 1.0])), Curve(steps, np.array([2.0, 3.0]))])
        >>> found.centre.tolist(), found.low.tolist(), found.high.tolist()
        ([1.0, 2.0], [0.0, 1.0], [2.0, 3.0])
    """
    if any(len(one.x) == 0 for one in curves):
        return None
    start, end = max(one.x[0] for one in curves), min(one.x[-1] for one in curves)
    grid = np.unique(np.concatenate([one.x for one in curves]))
    grid = grid[(grid >= start) & (grid <= end)]
    if len(grid) == 0:
        return None
    if len(grid) > most:
        grid = np.linspace(start, end, most)
        curves = [averaged(one, start, end, most) for one in curves]
    values = np.stack([np.interp(grid, one.x, one.y) for one in curves])
    return Spread(grid, *interquartile_interval(values))


def averaged(full: Curve, start: float, end: float, stretches: int) -> Curve:
    """Means over stretches of equal width of what lies between `start` and `end`; a curve with fewer points as it is.

    Example:
        >>> found = averaged(Curve(np.arange(4.0), np.array([0.0, 2.0, 4.0, 8.0])), 0.0, 3.0, 2)
        >>> found.x.tolist(), found.y.tolist()
        ([0.5, 2.5], [1.0, 6.0])
    """
    if len(full.x) <= stretches:
        return full
    inside = (full.x >= start) & (full.x <= end)
    x, y = full.x[inside], full.y[inside]
    place = np.minimum(((x - start) / (end - start) * stretches).astype(np.int64), stretches - 1)
    count = np.bincount(place, minlength=stretches)
    some = count > 0
    return Curve(*(np.bincount(place, weights=of, minlength=stretches)[some] / count[some] for of in (x, y)))
