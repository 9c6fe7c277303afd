from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffer_core.schedules import ScheduleName, schedule

NAMES = get_args(ScheduleName)


@pytest.mark.parametrize("name", NAMES)
def test_starts_at_one_and_is_held_outside_the_run(name: ScheduleName) -> None:
    assert schedule(name, 0.0) == schedule(name, -1.0) == 1.0
    assert schedule(name, 1.0) == schedule(name, 7.0) == (1.0 if name == "constant" else 0.0)


@pytest.mark.parametrize(("name", "quarter"), [("constant", 1.0), ("linear", 0.75), ("cosine", (2 + math.sqrt(2)) / 4)])
def test_after_a_quarter(name: ScheduleName, quarter: float) -> None:
    assert schedule(name, 0.25) == pytest.approx(quarter)


@given(st.sampled_from(NAMES), st.floats(0, 1), st.floats(0, 1))
def test_never_rises(name: ScheduleName, one: float, other: float) -> None:
    assert schedule(name, max(one, other)) <= schedule(name, min(one, other))


def test_unknown_name() -> None:
    with pytest.raises(KeyError):
        schedule("stairs", 0.5)  # type: ignore[arg-type]
