from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from puffer_core.checkpoints.statefile import decode, encode
from puffer_core.errors import CheckpointError

keys = st.text(max_size=6).filter(lambda key: not key.startswith("$"))
dtypes = st.sampled_from(["<f4", "<f8", "<i8", "|u1", "|b1", "<u4"])
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
leaves = plain | st.lists(plain, max_size=3) | arrays
states = st.dictionaries(
    keys, st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=8)
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@settings(deadline=None, max_examples=50)
@given(states)
def test_every_state_comes_back_bit_for_bit(state: dict[str, Any]) -> None:
    assert same(state, decode(encode(state)))


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(keys, arrays, min_size=1, max_size=6))
def test_arrays_are_written_as_the_library_writes_them(state: dict[str, Any]) -> None:
    from safetensors.numpy import save

    escaped = {name.replace("~", "~0").replace("/", "~1"): array for name, array in state.items()}
    assert encode(state)[".safetensors"] == save(escaped)


def test_the_name_that_safetensors_reserves_is_refused() -> None:
    with pytest.raises(CheckpointError, match="__metadata__"):
        encode({"__metadata__": np.ones(1)})


def test_optimizer_names_with_a_slash_are_not_taken_for_nesting() -> None:
    state = {"optimizer": {"adam.m/actor.0.weight": np.ones(2), "adam.m": {"actor.0.weight": np.zeros(2)}}}
    assert same(state, decode(encode(state)))


def test_flat_parameters_keep_their_names_in_the_tensor_file() -> None:
    from safetensors.numpy import load

    assert list(load(encode({"actor.0.weight": np.ones(2)})[".safetensors"])) == ["actor.0.weight"]


def test_the_json_is_standard_json_even_with_infinities() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    files = encode({"best": -math.inf, "seen": math.nan})
    assert json.loads(files[".json"], parse_constant=refuse) == {"best": {"$float": "-inf"}, "seen": {"$float": "nan"}}
    assert ".safetensors" not in files


def test_views_are_saved_as_they_read_not_as_they_lie() -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    for view in (grid.T, grid[::2], grid[:, ::-1], grid.astype(">f4")):
        assert np.array_equal(decode(encode({"x": view}))["x"], view)


def test_numpy_scalars_come_back_as_arrays_without_axes() -> None:
    restored = decode(encode({"x": np.float64(0.1), "n": np.int64(3)}))
    assert (restored["x"].shape, float(restored["x"]), restored["n"].dtype) == ((), 0.1, np.int64)


def test_arrays_of_another_engine_go_through_the_converter() -> None:
    class Foreign:
        shape, dtype = (2,), "float"

    assert decode(encode({"x": Foreign()}, lambda _: np.ones(2)))["x"].tolist() == [1.0, 1.0]


def test_restored_arrays_can_be_written() -> None:
    decode(encode({"x": np.zeros(3)}))["x"][0] = 1.0


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"a": {"b": object()}}, "a/b: a object"),
        ({"a": (1, 2)}, "a: a tuple"),
        ({"a": [np.ones(1)]}, "list of arrays"),
        ({"a": {1: 2}}, "a: key 1"),
        ({"$array": 1}, "key '\\$array'"),
        ({"a": np.array(["x"])}, "dtype <U1"),
        ({"a": np.zeros(2, [("x", "f4")])}, "dtype"),
        ({"a": np.array([object()])}, "dtype object"),
    ],
)
def test_what_cannot_be_saved_is_named_with_its_path(state: dict[Any, Any], reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        encode(state)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({".json": b"{"}, "Expecting"),
        ({".json": b"[]"}, "no object"),
        ({".json": b'{"a": 1, "a": 2}'}, "duplicate keys"),
        ({".json": b'{"a": {"$array": "x"}}'}, "'x' is missing"),
        ({".json": b"{}", ".safetensors": encode({"x": np.ones(1)})[".safetensors"]}, "does not mention"),
        ({".json": b"{}", ".safetensors": b"\xff" * 64}, "malformed"),
        ({".json": b"[" * 100_000}, "nested too deeply"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(files)


def test_one_tensor_cannot_stand_in_two_places() -> None:
    files = encode({"x": np.ones(1)})
    files[".json"] = b'{"x": {"$array": "x"}, "y": {"$array": "x"}}'
    with pytest.raises(ValueError, match="mentioned twice"):
        decode(files)
