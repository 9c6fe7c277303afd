"""Nested spaces as rows of bytes: there and back to the bit, whatever they consist of; refusals that name the part."""

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
from puffer_core.spaces.layout import Layout

DTYPES = ["bool", "float16", "float32", "float64"] + [
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
]
KEYS = st.text("abcxyz_0/-", min_size=1, max_size=4)
quick = settings(max_examples=40, deadline=None)


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    """Of any dtype and shape, zero-size ones too."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    low, high = (0, 1) if dtype.kind == "b" else (0, 100)
    return spaces.Box(np.full(shape, low, dtype), np.full(shape, high, dtype), shape, dtype.type)


@st.composite
def choices(draw: st.DrawFn) -> gymnasium.Space[Any]:
    start = draw(st.integers(-1000, 1000))
    shape = draw(hnp.array_shapes(max_dims=2, max_side=3))
    nvec = draw(hnp.arrays(np.int64, shape, elements=st.integers(1, 20)))
    return draw(
        st.sampled_from(
            [
                spaces.Discrete(int(nvec.flat[0]), start=start, dtype=draw(st.sampled_from([np.int16, np.int64]))),
                spaces.MultiDiscrete(nvec, draw(st.sampled_from([np.int16, np.int64])), start=np.full(shape, start)),
                spaces.MultiBinary(list(shape)),
            ]
        )
    )


LEAVES = st.one_of(boxes(), choices())


def inner(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.lists(st.tuples(KEYS, parts), min_size=1, max_size=3, unique_by=lambda pair: pair[0])
    return st.one_of(pairs.map(spaces.Dict), st.lists(parts, min_size=1, max_size=3).map(spaces.Tuple))


SPACES = inner(st.one_of(LEAVES, inner(st.one_of(LEAVES, inner(LEAVES)))))


def value_of(space: Any, rng: np.random.Generator) -> Any:
    """Any bits in the boxes, NaN with payloads too; one of the choices elsewhere."""
    if isinstance(space, spaces.Dict):
        return {key: value_of(part, rng) for key, part in reversed(space.spaces.items())}
    if isinstance(space, spaces.Tuple):
        return tuple(value_of(part, rng) for part in space.spaces)
    if isinstance(space, spaces.Box):
        high = 2 if space.dtype == np.bool_ else 256
        bits = rng.integers(high, size=(int(np.prod(space.shape)) * space.dtype.itemsize,), dtype=np.uint8)
        return bits.view(space.dtype).reshape(space.shape)
    space.seed(int(rng.integers(2**31)))
    return space.sample()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    one, other = np.asarray(one), np.asarray(other)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@quick
@given(SPACES, st.integers(0, 2**31))
def test_what_is_encoded_is_decoded_to_the_bit(space: gymnasium.Space[Any], seed: int) -> None:
    layout, rng = Layout.of(space), np.random.default_rng(seed)
    rows = np.full((3, *layout.shape), 7, np.uint8)
    value = value_of(space, rng)
    layout.encode(value, rows[1])
    assert (rows[[0, 2]] == 7).all()
    assert same(layout.decode(rows[1]), value)


@quick
@given(SPACES, st.integers(0, 2**31))
def test_rows_are_split_without_copying_and_joined_again(space: gymnasium.Space[Any], seed: int) -> None:
    torch = pytest.importorskip("torch")
    layout = Layout.of(space)
    rows = np.zeros((4, 3, *layout.shape), np.uint8)
    layout.encode(value_of(space, np.random.default_rng(seed)), rows[2, 1])
    inside = rows[1:4, 1:2]  # as a part of larger buffers lies there
    parts = layout.split(inside)
    assert isinstance(parts, dict)
    assert tuple(parts) == layout.names
    for leaf in layout.leaves:
        part = parts[leaf.name]
        assert (part.shape, part.dtype) == ((3, 1, *leaf.shape), leaf.dtype)
        assert np.shares_memory(part, rows) or not part.size
        assert part.flags.aligned
        assert tuple(torch.from_numpy(part).shape) == part.shape
    joined = layout.join(parts)
    assert joined.tobytes() == inside.tobytes()
    assert not np.shares_memory(joined, rows)


@quick
@given(SPACES)
def test_a_layout_survives_json_with_the_order_of_its_keys(space: gymnasium.Space[Any]) -> None:
    layout = Layout.of(space)
    again = Layout.from_json(json.loads(json.dumps(layout.to_json(), allow_nan=False, sort_keys=True)))
    assert again == layout
    assert again.names == layout.names
    assert [leaf.offset for leaf in again.leaves] == [leaf.offset for leaf in layout.leaves]
    assert layout.difference(again) == ""


@quick
@given(SPACES, SPACES)
def test_layouts_are_equal_exactly_where_nothing_differs(
    one: gymnasium.Space[Any], other: gymnasium.Space[Any]
) -> None:
    first, second = Layout.of(one), Layout.of(other)
    assert (first == second) == (first.to_json() == second.to_json()) == (first.difference(second) == "")


@quick
@given(SPACES, st.integers(0, 2**31))
def test_an_action_is_structured_as_it_lies(space: gymnasium.Space[Any], seed: int) -> None:
    layout = Layout.of(space)
    space.seed(seed)
    action = space.sample()
    rows = layout.join(
        {leaf.name: np.asarray(part)[None] for leaf, part in zip(layout.leaves, _leaves(action), strict=True)}
    )
    assert same(layout.structure(rows[0]), action)
    assert space.contains(layout.structures(rows)[0])


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | tuple):
        return [leaf for part in (value.values() if isinstance(value, dict) else value) for leaf in _leaves(part)]
    return [value]


ROBOT = spaces.Dict(
    [
        ("near", spaces.Discrete(3, start=1)),
        ("arm", spaces.Tuple([spaces.Box(-1, 1, (3,), np.float64), spaces.MultiBinary(2)])),
        ("eye", spaces.Box(0, 255, (2, 2), np.uint8)),
    ]
)


def test_what_a_nested_layout_knows() -> None:
    layout = Layout.of(ROBOT)
    assert layout.is_nested
    assert layout.names == ("near", "arm.0", "arm.1", "eye")
    assert (layout.shape, layout.dtype, layout.size, layout.mask_size) == ((40,), np.uint8, 40, 7)
    assert [leaf.offset for leaf in layout.leaves] == [0, 8, 32, 34]
    assert str(layout).startswith("near: one of 3 choices from 1; arm.0: float64 box of shape (3,);")
    with pytest.raises(UnsupportedError, match="expected a space of one part, got Dict of near"):
        _ = layout.kind


def test_a_nested_space_of_one_leaf_stays_nested() -> None:
    layout = Layout.of(spaces.Tuple([spaces.Discrete(2)]))
    assert (layout.is_nested, layout.names, layout.shape) == (True, ("0",), (8,))
    plain = Layout.of(spaces.Discrete(2))
    assert (plain.is_nested, plain.names) == (False, ("",))
    rows = np.array([1, 0])
    assert plain.split(rows) is rows
    assert plain.join(rows) is rows


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Dict(a=spaces.Dict(b=spaces.Text(3))), r"^a\.b: Text spaces cannot be laid out"),
        (spaces.Tuple([spaces.Discrete(2), spaces.Sequence(spaces.Discrete(2))]), "^1: Sequence spaces"),
        (spaces.Dict(a=spaces.Graph(spaces.Discrete(2), None)), "^a: Graph spaces"),
        (spaces.Dict(a=spaces.OneOf([spaces.Discrete(2)])), "^a: OneOf spaces"),
        (spaces.Dict(mission=gymnasium.Space(dtype=str)), r"--env\.without mission"),
        (spaces.Dict(), "the space is an empty Dict, expected parts"),
        (spaces.Dict(a=spaces.Tuple([])), "a is an empty Tuple, expected parts"),
        (spaces.Dict({"a.b": spaces.Discrete(2), "a": spaces.Dict(b=spaces.Discrete(2))}), r"2 parts of .* 'a\.b'"),
        (spaces.Dict({"": spaces.Discrete(2)}), "have the name ''"),
        (spaces.Dict({(1, 2): spaces.Discrete(2)}), r"key \(1, 2\), expected text or an integer"),  # type: ignore[dict-item]
    ],
)
def test_what_has_no_layout_is_named_with_its_path(space: gymnasium.Space[Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        Layout.of(space)


GOOD: dict[str, Any] = {"near": 1, "arm": (np.zeros(3), np.zeros(2, np.int8)), "eye": np.zeros((2, 2), np.uint8)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "got None, expected a dict of near, arm, eye"),
        ({"near": 1, "arm": GOOD["arm"]}, "got no eye, expected the keys near, arm, eye"),
        ({**GOOD, "ear": 1}, "got an unknown ear, expected the keys"),
        ({**GOOD, "near": 4}, "near: got 4, expected one of 3 choices from 1"),
        ({**GOOD, "eye": None}, r"eye: got None, expected uint8 box of shape \(2, 2\)"),
        ({**GOOD, "arm": {}}, r"arm: got {}, expected a tuple of 2"),
        ({**GOOD, "arm": (np.zeros(3),)}, "arm: got 1 parts, expected a tuple of 2"),
        ({**GOOD, "arm": (np.zeros(4), GOOD["arm"][1])}, r"arm\.0: got float64 array of shape \(4,\)"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_key(value: Any, message: str) -> None:
    layout = Layout.of(ROBOT)
    with pytest.raises(ShapeError, match=message):
        layout.encode(value, np.zeros(layout.shape, np.uint8))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (np.zeros(3), r"got parts an array of shape \(3,\), expected \['near'"),
        ({"near": np.zeros(2)}, r"got parts \['near'\], expected"),
        ({"near": np.zeros(2), "arm.0": np.zeros((2, 4)), "arm.1": 0, "eye": 0}, r"arm\.0: got shape \(2, 4\)"),
    ],
)
def test_parts_that_do_not_fit_are_not_joined(parts: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Layout.of(ROBOT).join(parts)


def test_rows_of_another_width_or_dtype_are_not_split() -> None:
    for rows in (np.zeros((2, 39), np.uint8), np.zeros((2, 40), np.int8)):
        with pytest.raises(ShapeError, match=r"expected uint8 \(\.\.\., 40\)"):
            Layout.of(ROBOT).split(rows)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (spaces.Dict(a=spaces.Discrete(2)), spaces.Dict(b=spaces.Discrete(2)), "parts a against parts b"),
        (spaces.Dict(a=spaces.Discrete(2)), spaces.Discrete(2), "parts a against one discrete"),
        (spaces.Dict(a=spaces.Discrete(2)), spaces.Dict(a=spaces.Discrete(3)), "a: sizes (2,) against (3,)"),
        (spaces.Dict({"0": spaces.Discrete(2)}), spaces.Tuple([spaces.Discrete(2)]), '"dict"} against {'),
    ],
)
def test_differences_in_words(one: gymnasium.Space[Any], other: gymnasium.Space[Any], words: str) -> None:
    assert words in Layout.of(one).difference(Layout.of(other))


def test_the_order_of_keys_is_a_difference() -> None:
    first, second = (Layout.of(spaces.Dict([(key, spaces.Discrete(2)) for key in keys])) for keys in ("ab", "ba"))
    assert first != second
    assert first.difference(second) == "parts a, b against parts b, a"


@pytest.mark.parametrize(
    "form", [{"type": "dict", "spaces": {"a": 1}}, {"type": "tuple"}, {"type": "tuple", "spaces": [1]}]
)
def test_what_is_no_nested_space_is_not_read(form: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="cannot read a space from"):
        Layout.from_json(form)
