"""Batches against rows: leaves of nested spaces, masks in every form, infos made sparse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from puffer_core.errors import ShapeError
from puffer_core.spaces.layout import Layout
from puffer_core.vector.batch_rows import BatchWriter, sparse
from puffer_core.vector.columns import RowError
from puffer_core.vector.masks import shown
from puffer_core.vector.slots import targets_of

SPACE = spaces.Dict(
    room=spaces.Discrete(4, start=3), seen=spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.MultiBinary(3)])
)
ACTION = Layout.of(spaces.MultiDiscrete([2, 3]))


def writer(space: Any = SPACE) -> tuple[BatchWriter, Layout, np.ndarray[Any, Any]]:
    """A writer for two rows, their layout, and rows to write."""
    visible = shown(space, ACTION)
    layout = Layout.of(visible.seen)
    return BatchWriter(visible, layout, ACTION, 2), layout, np.zeros((2, *layout.shape), layout.dtype)


def batch() -> dict[str, Any]:
    seen = (np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), np.array([[1, 0, 1], [0, 0, 1]], np.int8))
    return {"room": np.array([3, 6]), "seen": seen}


def test_a_nested_batch_becomes_rows_as_single_values_do() -> None:
    write, layout, rows = writer()
    write.observations(targets_of(layout, rows), batch())
    single = np.zeros_like(rows)
    for row, value in enumerate([_one(0), _one(1)]):
        layout.encode(value, single[row])
    assert np.array_equal(rows, single)


def _one(row: int) -> dict[str, Any]:
    whole = batch()
    return {"room": whole["room"][row], "seen": tuple(part[row] for part in whole["seen"])}


def test_some_rows_may_be_written_and_the_rest_is_not_looked_at() -> None:
    write, layout, rows = writer()
    given = batch() | {"room": np.array([99, 6])}
    write.rows(targets_of(layout, rows), given, [1])
    assert layout.decode(rows[1])["room"] == 6
    assert not rows[0].any()
    with pytest.raises(ShapeError, match=r"got a batch of shape \(3,\), expected 2 rows"):
        write.rows(targets_of(layout, rows), batch() | {"room": np.array([3, 3, 3])}, [1])


@pytest.mark.parametrize(
    ("change", "row", "message"),
    [
        ({"room": np.array([3, 7])}, 1, "room: got 7, expected one of 4 choices from 3"),
        ({"room": np.array([2, 3])}, 0, "room: got 2, expected one of 4 choices from 3"),
        ({"room": np.array([3.5, 3.0])}, 0, "room: got"),
        ({"seen": (np.full((2, 2), np.nan, np.float32), np.zeros((2, 3), np.int8))}, 0, r"seen\.0 of the obs"),
    ],
)
def test_the_row_that_does_not_fit_is_named(change: dict[str, Any], row: int, message: str) -> None:
    write, layout, rows = writer()
    with pytest.raises(RowError, match=message) as caught:
        write.observations(targets_of(layout, rows), batch() | change)
    assert caught.value.row == row


def test_a_batch_with_other_keys_is_refused() -> None:
    write, layout, rows = writer()
    given = batch()
    with pytest.raises(ShapeError, match="does not fit its space: got no room, expected the keys room, seen"):
        write.observations(targets_of(layout, rows), {"seen": given["seen"]})
    with pytest.raises(RowError, match="got no room"):
        write.row(targets_of(layout, rows), 1, {"seen": ()})


MASKS = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]], np.int8)
SPLIT = (MASKS[:, :2], MASKS[:, 2:])


def ragged(*rows: Any) -> np.ndarray[Any, Any]:
    """An array of objects, as Gymnasium makes them of infos that are no arrays."""
    array = np.full(len(rows), None, dtype=object)
    array[:] = rows
    return array


@pytest.mark.parametrize(
    "given",
    [MASKS, MASKS.astype(bool), SPLIT, ragged(*[(one, other) for one, other in zip(*SPLIT, strict=True)])],
    ids=["array", "bool", "tuple of arrays", "objects"],
)
@pytest.mark.parametrize("rows", [None, [1]])
def test_masks_come_in_several_forms(given: Any, rows: list[int] | None) -> None:
    write, _, _ = writer()
    target = np.ones((2, 5), np.bool_)
    write.masks(target, batch(), {"action_mask": given}, rows)
    assert np.array_equal(target[1], MASKS[1])
    assert np.array_equal(target[0], np.ones(5) if rows else MASKS[0])


def test_masks_in_the_observation_are_joined() -> None:
    inner = spaces.Tuple([spaces.MultiBinary(2), spaces.MultiBinary(3)])
    write, layout, rows = writer(spaces.Dict(observation=spaces.Discrete(2), action_mask=inner))
    target = np.zeros((2, 5), np.bool_)
    given = {"observation": np.array([0, 1]), "action_mask": SPLIT}
    write.observations(targets_of(layout, rows), given)
    write.masks(target, given, {})
    assert rows.tolist() == [0, 1]
    assert np.array_equal(target, MASKS)


@pytest.mark.parametrize(
    ("infos", "row"),
    [({}, 0), ({"action_mask": MASKS, "_action_mask": np.array([True, False])}, 1)],
)
def test_a_row_without_a_mask_is_named(infos: dict[str, Any], row: int) -> None:
    write, _, _ = writer()
    for rows in (None, [0, 1]):
        with pytest.raises(RowError, match="got no action_mask in the info, expected 5 entries") as caught:
            write.masks(np.ones((2, 5), np.bool_), batch(), infos, rows)
        assert caught.value.row == row


@pytest.mark.parametrize(
    ("infos", "rows"),
    [
        ({}, []),
        ({"a": np.array([1, 2])}, [(0, {"a": 1}), (1, {"a": 2})]),
        ({"a": np.array([1, 2]), "_a": np.array([False, True])}, [(1, {"a": 2})]),
        ({"a": np.array([1, 2]), "_a": np.array([False, False])}, []),
        (
            {"a": {"b": np.array([1, 2]), "_b": np.array([True, False])}, "_a": np.array([True, True])},
            [(0, {"a": {"b": 1}}), (1, {"a": {}})],
        ),
        ({"seconds": 0.5, "where": "here"}, [(0, {"seconds": 0.5, "where": "here"})]),
        ({"_hidden": np.array([1, 2])}, [(0, {"_hidden": 1}), (1, {"_hidden": 2})]),
    ],
)
def test_infos_are_sparse(infos: dict[str, Any], rows: list[Any]) -> None:
    assert sparse(infos, 2) == rows
