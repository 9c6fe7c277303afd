"""What every vector env checks."""

from __future__ import annotations

import pytest

from puffer_core.errors import UsageError
from puffer_core.vector.checks import check_slot, close_all, env_error


def test_a_slot_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="pole: reset or step before bind, or after close"):
        check_slot("pole", 0, slots=0)


def test_all_are_closed_and_the_first_that_raised_is_told() -> None:
    closed: list[int] = []

    def closing(number: int) -> None:
        closed.append(number)
        if number:
            raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        close_all([lambda number=number: closing(number) for number in range(3)])
    assert sorted(closed) == [0, 1, 2]


def test_an_error_without_a_seed_offers_no_seed() -> None:
    assert str(env_error("pole", "environment 0 of 1", "init", "no", alone=True)) == (
        "pole: environment 0 of 1 failed in init: no"
    )
