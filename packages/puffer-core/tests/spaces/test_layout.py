"""Layouts: values of spaces as rows and back, to the bit; JSON forms; differences in words."""

from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from puffer_core.errors import CheckpointError, ShapeError, UnsupportedError
from puffer_core.spaces.json_form import to_json
from puffer_core.spaces.layout import Layout

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)
quick = settings(max_examples=60, deadline=None)


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    dtype = np.dtype(draw(st.sampled_from([*FLOATS, *INTEGERS, "bool"])))
    shape = draw(SHAPES)
    elements = {"allow_nan": False} if dtype.kind == "f" else {}
    one, other = (draw(hnp.arrays(dtype, shape, elements=elements or None)) for _ in range(2))
    return spaces.Box(np.asarray(np.minimum(one, other)), np.asarray(np.maximum(one, other)), shape, dtype.type)


@st.composite
def discretes(draw: st.DrawFn) -> spaces.Discrete:
    n, start = draw(st.integers(1, 100)), draw(st.integers(-(10**6), 10**6))
    return spaces.Discrete(n, start=start, dtype=draw(st.sampled_from([np.int32, np.int64])))


@st.composite
def multi_discretes(draw: st.DrawFn) -> spaces.MultiDiscrete:
    shape = draw(hnp.array_shapes(max_dims=2, max_side=4))
    nvec = draw(hnp.arrays(np.int64, shape, elements=st.integers(1, 20)))
    start = draw(hnp.arrays(np.int64, shape, elements=st.integers(-100, 100)))
    return spaces.MultiDiscrete(nvec, draw(st.sampled_from([np.int16, np.int64])), start=start)


MULTI_BINARIES = st.one_of(st.integers(1, 8), st.lists(st.integers(1, 4), min_size=1, max_size=3)).map(
    spaces.MultiBinary
)
SPACES = st.one_of(boxes(), discretes(), multi_discretes(), MULTI_BINARIES)


@st.composite
def values(draw: st.DrawFn) -> tuple[gymnasium.Space[Any], Any]:
    space = draw(SPACES)
    if isinstance(space, spaces.Box):
        elements = st.floats(width=space.dtype.itemsize * 8) if space.dtype.kind == "f" else None
        return space, draw(hnp.arrays(space.dtype, space.shape, elements=elements))
    space.seed(draw(st.integers(0, 2**31)))
    return space, space.sample()


def encoded(layout: Layout, value: Any) -> np.ndarray[Any, Any]:
    rows = np.full((3, *layout.shape), 7, layout.dtype)
    layout.encode(value, rows[1, ...])
    assert (rows[0] == rows[2]).all()
    return rows[1]


@quick
@given(values())
def test_what_is_encoded_is_decoded_to_the_bit(case: tuple[gymnasium.Space[Any], Any]) -> None:
    space, value = case
    layout = Layout.of(space)
    decoded = layout.decode(encoded(layout, value))
    assert np.asarray(decoded).dtype == np.asarray(value).dtype
    assert np.asarray(decoded).tobytes() == np.asarray(value).tobytes()
    assert type(decoded) is type(value)


@quick
@given(SPACES)
def test_a_layout_survives_json_to_the_bit(space: gymnasium.Space[Any]) -> None:
    layout = Layout.of(space)
    again = Layout.from_json(json.loads(json.dumps(layout.to_json(), allow_nan=False)))
    assert again == layout
    assert hash(again) == hash(layout)
    assert layout.difference(again) == ""
    assert type(again.space) is type(space)
    if isinstance(space, spaces.Box):
        assert isinstance(again.space, spaces.Box)
        assert again.space.low.tobytes() == space.low.tobytes()
        assert again.space.high.tobytes() == space.high.tobytes()
    else:
        assert again.space == space


@quick
@given(SPACES, SPACES)
def test_layouts_are_equal_exactly_where_nothing_differs(
    one: gymnasium.Space[Any], other: gymnasium.Space[Any]
) -> None:
    first, second = Layout.of(one), Layout.of(other)
    assert (first == second) == (to_json(one) == to_json(other) and str(to_json(one)) == str(to_json(other)))
    assert (first == second) == (first.difference(second) == "")


@quick
@given(st.one_of(discretes(), multi_discretes(), MULTI_BINARIES))
def test_choices_count_from_zero_in_rows(space: gymnasium.Space[Any]) -> None:
    layout = Layout.of(space)
    row = encoded(layout, space.sample())
    assert (row >= 0).all()
    assert (np.ravel(row) < np.array(layout.leaves[0].sizes)).all()


@pytest.mark.parametrize(
    ("space", "kind", "shape", "dtype", "sizes", "mask_size"),
    [
        (spaces.Box(-1, 1, (2, 3)), "box", (2, 3), "float32", (), 0),
        (spaces.Box(0, 255, (84, 84, 4), np.uint8), "box", (84, 84, 4), "uint8", (), 0),
        (spaces.Discrete(5, start=2), "discrete", (), "int64", (5,), 5),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), "multi_discrete", (2, 2), "int64", (2, 3, 4, 5), 14),
        (spaces.MultiBinary([2, 2]), "multi_binary", (2, 2), "int8", (2, 2, 2, 2), 8),
    ],
)
def test_what_a_layout_knows(
    space: gymnasium.Space[Any], kind: str, shape: tuple[int, ...], dtype: str, sizes: tuple[int, ...], mask_size: int
) -> None:
    layout = Layout.of(space)
    assert (layout.kind, layout.shape, layout.dtype, layout.mask_size) == (kind, shape, np.dtype(dtype), mask_size)
    assert layout.size == int(np.prod(shape))
    assert layout.leaves[0].sizes == sizes
    assert layout.leaves[0].path == ()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(3),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Graph(spaces.Discrete(2), None),
        spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)]),
        spaces.Box(0, 1, (2,), np.longdouble),
        spaces.Box(0, 1, (2,), np.dtype(">f4")),
    ],
)
def test_other_spaces_are_refused_with_those_that_work(space: gymnasium.Space[Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"Supported: Box of .*, Discrete, MultiDiscrete, MultiBinary, and Dict"):
        Layout.of(space)


@pytest.mark.parametrize(
    ("space", "value", "message"),
    [
        (spaces.Box(0, 1, (2,)), np.zeros(3, np.float32), r"got float32 array of shape \(3,\), expected float32 box"),
        (spaces.Box(0, 1, (2,)), np.zeros((1, 2), np.float32), r"got float32 array of shape \(1, 2\)"),
        (spaces.Box(0, 1, (2,)), None, "got None, expected float32 box"),
        (spaces.Box(0, 1, (2,)), [1.0, [2.0]], r"got \[1.0, \[2.0\]\]"),
        (spaces.Box(0, 1, (2,)), np.array(["a", "b"]), "got <U1 array"),
        (spaces.Box(0, 9, (2,), np.int32), np.array([0.0, 1.5]), "got float64 array"),
        (spaces.Box(0, 255, (2,), np.uint8), np.array([0, 300]), "got int64 array"),
        (spaces.Box(-9, 9, (2,), np.int8), np.array([0, 300]), "got int64 array"),
        (spaces.Discrete(3, start=1), 0, "got 0, expected one of 3 choices from 1"),
        (spaces.Discrete(3), 3, "got 3, expected one of 3 choices"),
        (spaces.Discrete(3), 1.0, "got 1.0, expected one of 3 choices"),
        (spaces.Discrete(3), np.array([1]), r"got int64 array of shape \(1,\)"),
        (
            spaces.MultiDiscrete([2, 3]),
            np.array([2, 0]),
            r"got \[2, 0\], expected int64 multi_discrete .* 2, 3 choices",
        ),
        (spaces.MultiDiscrete([2, 3], start=[5, 5]), np.array([5, 4]), r"got \[5, 4\]"),
        (spaces.MultiDiscrete([9], dtype=np.int8, start=[-128]), np.array([127]), r"got \[127\]"),
        (spaces.MultiBinary(2), np.array([0, 2], np.int8), r"got \[0, 2\]"),
    ],
)
def test_values_that_do_not_fit_are_refused(space: gymnasium.Space[Any], value: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        encoded(Layout.of(space), value)


@pytest.mark.parametrize(
    ("space", "value", "row"),
    [
        (spaces.Box(0, 1, (2,)), np.array([0.1, 0.2]), [np.float32(0.1), np.float32(0.2)]),
        (spaces.Box(0, 1, (2,)), [0, 1], [0.0, 1.0]),
        (spaces.Box(0, 255, (2,), np.uint8), np.array([0, 255]), [0, 255]),
        (spaces.Box(0, 1, (), np.float32), 0.5, 0.5),
        (spaces.Discrete(3, start=1), np.array(3), 2),
        (spaces.MultiDiscrete([2, 3]), (1, 2), [1, 2]),
        (spaces.MultiBinary(2), np.array([True, False]), [1, 0]),
    ],
)
def test_other_numbers_of_the_same_value_are_taken(space: gymnasium.Space[Any], value: Any, row: Any) -> None:
    assert encoded(Layout.of(space), value).tolist() == row


def test_a_row_of_another_shape_is_not_decoded() -> None:
    with pytest.raises(ShapeError, match=r"got a row of shape \(3,\), expected \(2,\)"):
        Layout.of(spaces.Box(0, 1, (2,))).decode(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (spaces.Discrete(2), spaces.Discrete(3), "sizes (2,) against (3,)"),
        (spaces.Discrete(2), spaces.Discrete(2, start=1), "start (0,) against (1,)"),
        (spaces.Discrete(2), spaces.Box(0, 1, (2,)), "kind discrete against box"),
        (spaces.Box(0, 1, (2,)), spaces.Box(0, 1, (2,), np.float64), "dtype float32 against float64"),
        (
            spaces.Box(0, np.array([1, 2], "f4")),
            spaces.Box(0, np.array([1, 3], "f4")),
            "high of element 1: 2.0 against 3.0",
        ),
        (spaces.Box(np.float32(0), 1, (1,)), spaces.Box(np.float32(-0.0), 1, (1,)), '"low": 0.0'),
    ],
)
def test_differences_in_words(one: gymnasium.Space[Any], other: gymnasium.Space[Any], words: str) -> None:
    assert words in Layout.of(one).difference(Layout.of(other))


def test_uniform_bounds_are_written_once_and_infinity_in_words() -> None:
    assert Layout.of(spaces.Box(-np.inf, 1.5, (3,))).to_json() == {
        "type": "box", "shape": [3], "dtype": "float32", "low": "-inf", "high": 1.5
    }  # fmt: skip


@pytest.mark.parametrize(
    "form",
    [{}, {"type": "ball"}, {"type": "discrete", "n": 0, "start": 0, "dtype": "int64"}, {"type": "box", "dtype": "x"}],
)
def test_what_is_no_space_is_not_read(form: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="cannot read a space from"):
        Layout.from_json(form)


def test_a_layout_names_itself() -> None:
    assert str(Layout.of(spaces.Box(0, 1, (4,)))) == "float32 box of shape (4,)"
    assert str(Layout.of(spaces.Discrete(3, start=-1))) == "one of 3 choices from -1"
    assert Layout.of(spaces.Discrete(3)) != "one of 3 choices"
