"""Thinning keeps what stands out; several seeds are averaged where all of them are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffer_report.curves import Curve, curve, spread, thinned
from puffer_report.statistics import interquartile_interval


def line(*y: float, start: float = 0.0) -> Curve:
    return Curve(start + np.arange(float(len(y))), np.array(y, np.float64))


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 5000), most=st.integers(4, 300), seed=st.integers(0, 99))
def test_extremes_and_ends_survive_thinning(count: int, most: int, seed: int) -> None:
    full = Curve(np.arange(float(count)), np.random.default_rng(seed).normal(size=count))
    thin = thinned(full, most)
    assert len(thin.x) <= max(most, 4)
    assert thin.y.min() == full.y.min()
    assert thin.y.max() == full.y.max()
    assert thin.x[[0, -1]].tolist() == full.x[[0, -1]].tolist()
    assert (np.diff(thin.x) > 0).all()
    assert np.array_equal(full.y[thin.x.astype(int)], thin.y)


def test_a_short_curve_stays_as_it_is() -> None:
    full = line(1.0, 5.0, 2.0)
    assert thinned(full, 4) is full


def test_gaps_are_left_out() -> None:
    found = curve(np.array([1.0, 2.0, np.nan, 4.0]), np.array([1.0, np.inf, 3.0, 4.0]))
    assert (found.x.tolist(), found.y.tolist()) == ([1, 4], [1, 4])


def test_seeds_are_averaged_as_far_as_all_of_them_got() -> None:
    found = spread([line(0.0, 1.0, 2.0, 3.0), line(2.0, 3.0)])
    assert found is not None
    assert found.x.tolist() == [0, 1]
    assert found.centre.tolist() == [1, 2]


@pytest.mark.parametrize("other", [Curve(np.empty(0), np.empty(0)), line(1.0, 2.0, start=50.0)])
def test_seeds_that_have_nothing_in_common_are_not(other: Curve) -> None:
    assert spread([line(0.0, 1.0), other]) is None


def test_noise_is_averaged_before_seeds_are() -> None:
    noisy = [Curve(np.arange(100_000.0), np.random.default_rng(seed).normal(size=100_000)) for seed in range(3)]
    found = spread(noisy, 100)
    assert found is not None
    assert len(found.x) == 100
    assert np.abs(found.centre).max() < 0.15


def test_one_seed_far_off_does_not_move_the_middle() -> None:
    values = np.array([[1.0], [1.0], [1.0], [1.0], [1000.0]])
    found = interquartile_interval(values)
    assert found.centre.tolist() == [1]
    assert found.low[0] == 1
    assert found.high[0] > 1
