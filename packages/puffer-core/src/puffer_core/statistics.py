"""What several seeds say together: interquartile mean, mean and median, each with a bootstrap interval over seeds.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice": a mean over a handful of
runs says little without an interval, and the interquartile mean is neither moved by one lucky run, as the mean is, nor
blind to half of the runs, as the median is. `aggregate` needs SciPy: `pip install "puffer-core[seeds]"`.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from puffer_core.errors import UsageError

RESAMPLES = 10_000
"""Draws of each bootstrap: the ends of an interval then repeat to about 1 % of its width under other draws."""
_TRIMMED = 0.25
_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A figure over seeds and its interval.

    Args:
        value: the figure, in units of the scores.
        low: lower end of the interval; None where one seed gives none.
        high: upper end; likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SeedStatistics:
    """What several seeds say together.

    Args:
        n: how many seeds.
        confidence: what share of such intervals is to hold the true figure, 0..1; of few seeds fewer do, see
            `coverage_limit`.
        interquartile_mean: mean of the middle half of the seeds.
        mean: of all of them.
        median: likewise.
    """

    n: int
    confidence: float
    interquartile_mean: Estimate
    mean: Estimate
    median: Estimate

    @property
    def caveat(self) -> str:
        """What is to be known of intervals over so few seeds; empty where the seeds are enough.

        Example:
            >>> aggregate([1.0, 2.0, 3.0]).caveat  # doctest: +ELLIPSIS
            'n = 3: intervals lie between the lowest and the highest seed, ... 75 % of the time at most'
            >>> aggregate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).caveat
            ''
        """
        limit = coverage_limit(self.n)
        if self.n < 2:
            return f"n = {self.n}: one seed says nothing about another"
        if limit >= self.confidence:
            return ""
        return (
            f"n = {self.n}: intervals lie between the lowest and the highest seed, where the true median is "
            f"{100 * limit:.3g} % of the time at most"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return asdict(self) | {"method": "percentile bootstrap over seeds", "resamples": RESAMPLES}


def interquartile_mean(scores: Sequence[float] | Float[np.ndarray, "seeds"]) -> float:
    """Mean of what is left when a quarter of the scores, rounded down, is cut off at either end; needs no SciPy.

    Of fewer than four scores nothing is cut off, and it is their mean.

    Raises:
        UsageError: there is no score, or one that is not finite.

    Example:
        >>> interquartile_mean([0.0, 10.0, 11.0, 12.0, 500.0])
        11.0
    """
    checked = np.sort(_checked(scores))
    cut = int(_TRIMMED * len(checked))
    return float(np.mean(checked[cut : len(checked) - cut]))


def coverage_limit(n: int) -> float:
    """How often, at best, an interval between the lowest and the highest of n seeds holds the true median, 0..1.

    A bootstrap interval lies between them. All n seeds lie on one side of the median with probability `2 ** (1 - n)`.

    Example:
        >>> coverage_limit(3), coverage_limit(6)
        (0.75, 0.96875)
    """
    return 1.0 - 2.0 ** (1 - n)


def aggregate(
    scores: Sequence[float] | Float[np.ndarray, "seeds"], *, confidence: float = 0.95, resamples: int = RESAMPLES
) -> SeedStatistics:
    """Interquartile mean, mean and median of one score a seed, with percentile bootstrap intervals over seeds.

    The same scores give the same intervals always: the bootstrap draws from a generator of its own, freshly seeded.

    Args:
        scores: one of each seed, such as the mean return of its final evaluation; finite.
        confidence: what share of such intervals is to hold the true figure, above 0 and below 1.
        resamples: draws of each bootstrap, >= 1.

    Raises:
        UsageError: there is no score, one that is not finite, or SciPy is not installed.

    Example:
        >>> found = aggregate([480.0, 500.0, 495.0, 120.0, 500.0])
        >>> found.n, found.mean.value, round(found.interquartile_mean.value, 1), found.median.value
        (5, 419.0, 491.7, 495.0)
        >>> found.mean.low < found.mean.value < found.mean.high
        True
    """
    checked = _checked(scores)
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: got {confidence}, expected a number between 0 and 1")
    require_scipy()
    from scipy.stats import trim_mean

    def middle(values: Any, axis: int) -> Any:
        return trim_mean(values, _TRIMMED, axis=axis)

    def estimate(value: float, statistic: Callable[..., Any]) -> Estimate:
        ends = (None, None) if len(checked) < 2 else _interval(checked, statistic, confidence, resamples)
        return Estimate(value, *ends)

    return SeedStatistics(
        len(checked),
        confidence,
        estimate(interquartile_mean(checked), middle),
        estimate(float(np.mean(checked)), np.mean),
        estimate(float(np.median(checked)), np.median),
    )


def _interval(
    scores: Float[np.ndarray, "seeds"], statistic: Callable[..., Any], confidence: float, resamples: int
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    found = bootstrap(
        (scores,),
        statistic,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def mean_interval(
    values: Sequence[float] | Float[np.ndarray, "values"], confidence: float = 0.95
) -> tuple[float, float] | None:
    """The interval of the mean of many independent values, by the central limit theorem; None of fewer than 30.

    For the episodes of one evaluation: it is about chance in episodes, and says nothing about other seeds.

    Example:
        >>> low, high = mean_interval(np.arange(100.0))
        >>> round(low, 1), round(high, 1)
        (43.8, 55.2)
    """
    checked = _checked(values)
    if len(checked) < 30:
        return None
    deviations = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    half = deviations * float(np.std(checked, ddof=1)) / len(checked) ** 0.5
    return float(np.mean(checked)) - half, float(np.mean(checked)) + half


def require_scipy() -> None:
    """Find out, before anything is trained, whether seeds can be aggregated afterwards.

    Raises:
        UsageError: SciPy is not installed.
    """
    if importlib.util.find_spec("scipy") is None:
        raise UsageError(
            "scipy is not installed, which makes intervals over several seeds",
            remedy='Install it: pip install "puffer-core[seeds]"',
        )


def _checked(scores: Sequence[float] | Float[np.ndarray, "values"]) -> Float[np.ndarray, "values"]:
    checked = np.asarray(scores, np.float64)
    if checked.ndim != 1 or not len(checked):
        raise UsageError(f"scores: got shape {checked.shape}, expected one score or more, [seeds]")
    if not np.isfinite(checked).all():
        raise UsageError(f"scores: got {checked[~np.isfinite(checked)][0]}, expected finite numbers")
    return checked
