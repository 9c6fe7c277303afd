"""Values as people hand them in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from puffer_core.errors import ShapeError
from puffer_core.spaces.layout import Layout
from puffer_core.spaces.values import encoded, one_or_many

NESTED = Layout.of(Dict(arm=Tuple([Box(-1, 1, (2,)), Discrete(3)]), grip=Discrete(2)))


def nested(*lead: int) -> Any:
    return {"arm": (np.zeros((*lead, 2), np.float32), np.ones(lead, np.int64)), "grip": np.ones(lead, np.int64)}


@pytest.mark.parametrize(
    ("given", "rows", "single"), [(nested(), 1, True), ([nested()] * 3, 3, False), (nested(4), 4, False)]
)
def test_a_nested_value_a_list_and_a_stack_are_told_apart(given: Any, rows: int, single: bool) -> None:
    values, one = one_or_many(NESTED, given)
    assert (len(values), one) == (rows, single)
    split: Any = NESTED.split(encoded(NESTED, values))
    assert split["arm.1"].tolist() == [1] * rows


@pytest.mark.parametrize(("given", "rows", "single"), [([0.5, 0.5], 1, True), (np.zeros((3, 2)), 3, False)])
def test_a_flat_value_and_a_stack_are_told_apart(given: Any, rows: int, single: bool) -> None:
    values, one = one_or_many(Layout.of(Box(-1, 1, (2,))), given)
    assert (len(values), one) == (rows, single)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grip": 1}, "an observation has no part 'arm'"),
        ({"arm": (), "grip": 1}, "an observation has no part '0'"),
        ({"arm": 3, "grip": 1}, "an observation has no part '0'"),
        (nested(2, 2), r"arm.0 of an observation has shape \(2, 2, 2\), expected \(2,\)"),
    ],
)
def test_what_is_nested_otherwise_is_named(given: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        one_or_many(NESTED, given)
