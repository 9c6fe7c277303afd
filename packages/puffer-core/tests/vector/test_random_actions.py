"""Random actions: of the space, in its own numbering, and what a mask allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from puffer_core.spaces.layout import Layout
from puffer_core.vector.random_actions import random_actions

SPACES = [
    spaces.Discrete(4, start=-2),
    spaces.MultiDiscrete([2, 5], start=[1, -1]),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 1]])),
    spaces.MultiBinary((2, 3)),
    spaces.MultiDiscrete([]),
    spaces.Discrete(2**62),
    spaces.Box(-2.0, 0.5, (3,), np.float32),
    spaces.Box(-np.inf, np.inf, (2,), np.float64),
    spaces.Box(3.0, np.inf, (), np.float32),
    spaces.Box(0, 1, (2,), np.uint8),
    spaces.Box(-(2**63), 2**63 - 1, (2,), np.int64),
    spaces.Box(0, 1, (2,), np.bool_),
    spaces.Dict({"turn": spaces.Discrete(3, start=1), "push": spaces.Tuple([spaces.Box(-1, 1, (2,))])}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_they_are_in_their_space(space: spaces.Space[Any]) -> None:
    layout = Layout.of(space)
    actions = random_actions(layout, np.random.default_rng(0), 50)
    assert actions.shape == (50, *layout.shape)
    assert actions.dtype == layout.dtype
    assert all(space.contains(layout.structure(action)) for action in actions)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_same_noise_gives_the_same_actions(space: spaces.Space[Any]) -> None:
    one, other = (random_actions(Layout.of(space), np.random.default_rng(7), 3) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_every_choice_is_as_likely() -> None:
    actions = random_actions(Layout.of(spaces.Discrete(4)), np.random.default_rng(0), 4000)
    assert np.allclose(np.bincount(actions), 1000, atol=120)


def test_both_ends_of_an_integer_box_are_drawn() -> None:
    actions = random_actions(Layout.of(spaces.Box(0, 1, (1,), np.int64)), np.random.default_rng(0), 100)
    assert set(actions.ravel()) == {0, 1}


def test_a_mask_covers_the_parts_one_after_another() -> None:
    layout = Layout.of(spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,)), spaces.MultiDiscrete([2, 2])]))
    mask = np.tile([False, True, True, False, True, True], (100, 1))
    parts = layout.split(random_actions(layout, np.random.default_rng(0), 100, mask))
    assert set(parts["0"].ravel()) == {1}
    assert set(parts["2"][:, 0]) == {0}
    assert set(parts["2"][:, 1]) == {0, 1}


def test_where_nothing_is_valid_the_first_choice_is_taken() -> None:
    actions = random_actions(
        Layout.of(spaces.Discrete(3, start=5)), np.random.default_rng(0), 4, np.zeros((4, 3), bool)
    )
    assert set(actions) == {5}
