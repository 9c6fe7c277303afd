"""States of batches, divided and joined, and what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffer_core.errors import CheckpointError
from puffer_core.vector.parting import divided_state, joined_state, seed_of, seeded


def whole(count: int) -> dict[str, Any]:
    return {
        "environments": {str(i): {"x": np.full(2, i)} for i in range(count)},
        "fields": {"y": np.arange(count), "deep": {"z": np.arange(2 * count).reshape(count, 2)}},
        **seeded(7, 3),
    }


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_however_it_is_divided_it_joins_to_the_same(first: list[int], second: list[int]) -> None:
    total = sum(first)
    second = [count for count in second if count <= total][:1]
    second += [1] * (total - sum(second))
    state = whole(total)
    joined = joined_state(divided_state("pole", state, first))
    assert joined is not None
    again = joined_state(divided_state("pole", joined, second))
    assert again is not None
    assert [int(each["x"][0]) for each in again["environments"].values()] == list(range(total))
    assert again["fields"]["y"].tolist() == list(range(total))
    assert again["fields"]["deep"]["z"].tolist() == state["fields"]["deep"]["z"].tolist()


def test_shares_know_what_the_whole_was_seeded_with() -> None:
    assert [seed_of(share) for share in divided_state("pole", whole(3), [1, 2])] == [(7, 3), (7, 3)]
    assert seed_of({}) == (0, 0)


@pytest.mark.parametrize(
    "states", [[{"count": 1}], [{}], [{"fields": {}}, {"environments": {}}], [{"fields": {}, "x": 1}]]
)
def test_what_does_not_say_whose_it_is_stays_in_one_piece(states: list[Any]) -> None:
    assert joined_state(states) is None


@pytest.mark.parametrize("kind", ["environments", "fields"])
def test_another_number_of_environments_is_refused(kind: str) -> None:
    with pytest.raises(CheckpointError, match="pole: the state is of 3 environments, here there are 4"):
        divided_state("pole", {kind: whole(3)[kind]}, [2, 2])


def test_a_state_of_something_else_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be divided"):
        divided_state("pole", {"count": 3}, [3])
