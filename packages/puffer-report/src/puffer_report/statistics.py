"""What several seeds say together, along a whole curve: `puffer_core.statistics` does it for one score a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import trim_mean

_RESAMPLES = 1000
"""Fewer than for a single figure: the ends of an interval are drawn, and 3 % of its width cannot be seen."""


class Interval(NamedTuple):
    """Interquartile mean over seeds at each point, and the ends of its interval, `[points]` each."""

    centre: Float[np.ndarray, "points"]
    low: Float[np.ndarray, "points"]
    high: Float[np.ndarray, "points"]


def interquartile_interval(values: Float[np.ndarray, "seeds points"]) -> Interval:
    """Interquartile means with 95 % percentile bootstrap intervals over seeds (Agarwal et al. 2021).

    All points share their draws of seeds, so that a band does not flicker. Equal values give equal intervals.

    Example:
        >>> [part.tolist() for part in interquartile_interval(np.array([[1.0, 2.0], [1.0, 2.0]]))]
        [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    """
    seeds = len(values)
    drawn = np.random.default_rng(0).integers(seeds, size=(_RESAMPLES, seeds))
    means = trim_mean(values[drawn], 0.25, axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return Interval(trim_mean(values, 0.25, axis=0), low, high)
