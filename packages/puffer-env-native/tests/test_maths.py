"""The branch-free sine and cosine against the C library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puffer_env_native.maths import cos, sin


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 2e-16), (2.0**20, 3e-16), (1e9, 1e-7)])
@pytest.mark.parametrize(("mine", "theirs"), [(sin, math.sin), (cos, math.cos)])
def test_they_are_accurate(mine: object, theirs: object, scale: float, tolerance: float) -> None:
    points = np.random.default_rng(0).uniform(-scale, scale, 5000).tolist()
    assert max(abs(mine(x) - theirs(x)) for x in points) <= tolerance


@pytest.mark.parametrize("quarter", range(-9, 10))
def test_each_quadrant_has_its_sign(quarter: int) -> None:
    x = quarter * math.pi / 2 + 0.1
    assert sin(x) == pytest.approx(math.sin(x), abs=3e-16)
    assert cos(x) == pytest.approx(math.cos(x), abs=3e-16)


def test_infinity_gives_nan() -> None:
    assert math.isnan(sin(math.inf))
    assert math.isnan(cos(math.nan))
