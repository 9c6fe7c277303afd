"""The NumPy backend: the suite of every backend, the array standard, and numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import array_api_strict as xp
import numpy as np
import pytest
from pydantic import ValidationError

from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.numpy_backend import NumpyBackend, NumpyConfig
from puffer_core.numpy_backend import numpy_ops as ops
from puffer_testing.backend import BackendConformance
from puffer_testing.backend_cases import CASES, OpCase

F32 = np.float32

BEYOND_THE_STANDARD = {
    "linear", "relu", "sigmoid", "silu", "gelu", "softplus", "softmax", "log_softmax", "one_hot", "layer_norm",
    "embedding", "conv2d", "attention", "lstm", "gru", "linear_recurrence", "scan", "while_loop", "stop_gradient",
}  # fmt: skip
STANDARD = [
    case
    for case in CASES
    if hasattr(xp, case.op) and case.op not in BEYOND_THE_STANDARD | {"asarray", "operators"}
    and case.id not in {"where-scalar-a", "where-scalar-b", "sum-bool"}  # the standard allows none of these
]  # fmt: skip


class TestNumpyConformance(BackendConformance):
    name = "numpy"


@pytest.mark.parametrize("case", STANDARD, ids=lambda case: case.id)
def test_standard_op_means_what_the_standard_says(case: OpCase) -> None:
    inputs = case.draw(np.float64)
    expected = case.fn(xp, *(xp.asarray(x) for x in inputs))
    got = case.fn(ops, *inputs)
    for ours, theirs in zip(got, expected, strict=True) if isinstance(got, tuple) else [(got, expected)]:
        np.testing.assert_allclose(ours, np.asarray(theirs._array), rtol=1e-14, atol=1e-14)


def test_python_floats_become_float32_and_arrays_stay_what_they_are() -> None:
    assert ops.asarray([0.5]).dtype == ops.full((2,), 0.5).dtype == ops.zeros(()).dtype == F32
    assert ops.asarray(np.array([0.5])).dtype == ops.asarray(np.float64(0.5)).dtype == np.float64
    assert ops.asarray([1]).dtype == ops.full((), 3).dtype == np.int64
    assert ops.asarray([True]).dtype == np.bool_


def test_linear_takes_any_leading_axes() -> None:
    weight, bias = np.array([[1.0, 2.0], [3.0, 4.0]], F32), np.array([10.0, 20.0], F32)
    x = np.array([1.0, 1.0], F32)
    for lead in ((), (1,), (3,), (1, 3), (2, 1, 3)):
        got = ops.linear(np.broadcast_to(x, (*lead, 2)), weight, bias)
        np.testing.assert_array_equal(got, np.broadcast_to([14.0, 26.0], (*lead, 2)))


@pytest.mark.parametrize(
    ("op", "x", "expected"),
    [
        ("relu", -3.0, 0.0),
        ("sigmoid", math.log(3.0), 0.75),
        ("sigmoid", -1000.0, 0.0),
        ("silu", math.log(3.0), 0.75 * math.log(3.0)),
        ("softplus", 0.0, math.log(2.0)),
        ("softplus", 1000.0, 1000.0),
        ("gelu", 1.0, 0.8413447460685429),
        ("gelu", -40.0, 0.0),
    ],
)
def test_activation(op: str, x: float, expected: float) -> None:
    np.testing.assert_allclose(getattr(ops, op)(np.array([x])), [expected], rtol=1e-12, atol=1e-30)


def test_softmax_and_its_logarithm() -> None:
    x = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(ops.softmax(x, axis=-1), [[0.125, 0.25, 0.625]])
    np.testing.assert_allclose(np.exp(ops.log_softmax(x + 1e4, axis=-1)), [[0.125, 0.25, 0.625]])


def test_one_hot_out_of_range_is_zeros() -> None:
    got = ops.one_hot(np.array([1, 2, -1]), 2)
    np.testing.assert_array_equal(got, [[0, 1], [0, 0], [0, 0]])
    assert got.dtype == F32


def test_layer_norm() -> None:
    got = ops.layer_norm(np.array([[1.0, 3.0]]), np.array([2.0, 2.0]), np.array([0.0, 5.0]), epsilon=0.0)
    np.testing.assert_allclose(got, [[-2.0, 7.0]])


def test_conv2d_by_hand() -> None:
    image = np.arange(9.0).reshape(1, 3, 3, 1)
    kernel = np.array([[1.0, 0.0], [0.0, -1.0]]).reshape(2, 2, 1, 1)
    got = ops.conv2d(image, kernel, np.array([10.0]))
    np.testing.assert_array_equal(got[0, :, :, 0], [[6.0, 6.0], [6.0, 6.0]])
    padded = ops.conv2d(image, kernel, np.array([0.0]), stride=2, padding=1)
    np.testing.assert_array_equal(padded[0, :, :, 0], [[0.0, -2.0], [-6.0, -4.0]])


def test_conv2d_refuses_a_kernel_larger_than_the_image() -> None:
    with pytest.raises(ShapeError, match="kernel is 3 x 3"):
        ops.conv2d(np.zeros((1, 2, 2, 1)), np.zeros((3, 3, 1, 1)), np.zeros(1))


def test_attention_looks_only_where_it_may() -> None:
    query, key, value = np.ones((1, 2, 4)), np.ones((1, 2, 4)), np.array([[[1.0], [3.0]]])
    np.testing.assert_allclose(ops.attention(query, key, value), [[[2.0], [2.0]]])
    mask = np.array([[True, False], [True, True]])
    np.testing.assert_allclose(ops.attention(query, key, value, mask=mask), [[[1.0], [2.0]]])


def test_lstm_by_hand() -> None:
    weight, recurrent = np.array([[1.0, 0.5, -1.0, 2.0]]), np.array([[0.1, 0.2, 0.3, 0.4]])
    bias, carry = np.array([0.0, 1.0, 0.5, -0.5]), (np.array([[0.6]]), np.array([[-0.4]]))
    i, f, g, o = 2.0 + 0.06, 1.0 + 0.12 + 1.0, -2.0 + 0.18 + 0.5, 4.0 + 0.24 - 0.5
    c = _sigmoid(f) * -0.4 + _sigmoid(i) * math.tanh(g)
    out, (h, cell) = ops.lstm(np.array([[[2.0]]]), carry, np.array([[False]]), weight, recurrent, bias)
    np.testing.assert_allclose(cell, [[c]])
    np.testing.assert_allclose(out[0], [[_sigmoid(o) * math.tanh(c)]])
    np.testing.assert_array_equal(out[0], h)


def test_gru_by_hand() -> None:
    weight, recurrent = np.array([[1.0, 0.5, -1.0]]), np.array([[0.1, 0.2, 0.3]])
    bias, recurrent_bias = np.array([0.0, 1.0, 0.5]), np.array([0.3, -0.3, 0.7])
    r, z = _sigmoid(2.0 + 0.06 + 0.3), _sigmoid(1.0 + 1.0 + 0.12 - 0.3)
    n = math.tanh(-2.0 + 0.5 + r * (0.18 + 0.7))
    carry = np.array([[0.6]])
    out, h = ops.gru(np.array([[[2.0]]]), carry, np.array([[False]]), weight, recurrent, bias, recurrent_bias)
    np.testing.assert_allclose(out[0], [[(1 - z) * n + z * 0.6]])
    np.testing.assert_array_equal(out[0], h)


def test_linear_recurrence_both_ways() -> None:
    decay, increment = np.array([0.5, 0.0, 2.0]), np.array([1.0, 2.0, 3.0])
    start = np.array(4.0)
    np.testing.assert_array_equal(ops.linear_recurrence(decay, increment, start), [3.0, 2.0, 7.0])
    np.testing.assert_array_equal(ops.linear_recurrence(decay, increment, start, reverse=True), [2.0, 2.0, 11.0])


def test_scan_stacks_trees_and_carries_state() -> None:
    carry, ys = ops.scan(
        lambda c, x: (c + x["a"], {"sum": c, "twice": (2 * x["a"],)}), np.array(0), {"a": np.arange(4)}
    )
    assert carry == 6
    assert ys["sum"].tolist() == [0, 0, 1, 3]
    assert ys["twice"][0].tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(("xs", "length"), [((np.zeros(2), np.zeros(3)), None), (np.zeros(2), 3), ((), None), ((), 0)])
def test_scan_needs_one_length(xs: Any, length: int | None) -> None:
    with pytest.raises(ShapeError, match="expected one length"):
        ops.scan(lambda c, x: (c, x), (), xs, length=length)


def test_gradients_are_refused_with_a_remedy() -> None:
    with pytest.raises(UnsupportedError, match="train on a backend that differentiates"):
        ops.value_and_grad(lambda params: (params["w"], ()))


def test_split_depends_on_nothing_but_the_state() -> None:
    first, second = np.random.default_rng(3), np.random.default_rng(4)
    ops.split(second, 5)
    second.bit_generator.state = first.bit_generator.state
    drawn = [[ops.uniform(rng, (3,)).tolist() for rng in ops.split(parent, 2)] for parent in (first, second)]
    assert drawn[0] == drawn[1]


def test_adam_by_hand() -> None:
    """The first step is the learning rate long, whatever the gradient; decay shrinks the weight first."""
    params, gradients = {"w": np.array([1.0, -2.0])}, {"w": np.array([100.0, -0.01])}
    for config, expected in (
        (OptimizerConfig(), [0.9, -1.9]),
        (OptimizerConfig(name="adamw", weight_decay=0.5), [0.85, -1.8]),
    ):
        optimizer = NumpyBackend().optimizer(config)
        stepped, state = optimizer.apply(params, gradients, optimizer.init(params), 0.1)
        np.testing.assert_allclose(stepped["w"], expected, rtol=1e-6)
        np.testing.assert_allclose(state["adam.m/w"], [10.0, -0.001])
        assert int(state["adam.step"]) == 1


def test_sgd_repeats_its_last_step() -> None:
    optimizer = NumpyBackend().optimizer(OptimizerConfig(name="sgd", momentum=0.5))
    params, gradients = {"w": np.array(1.0)}, {"w": np.array(1.0)}
    state = optimizer.init(params)
    for expected in (0.9, 0.75, 0.575):
        params, state = optimizer.apply(params, gradients, state, 0.1)
        np.testing.assert_allclose(params["w"], expected)


def test_describe_reads_the_threads_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert NumpyBackend().describe()["threads"] == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert NumpyBackend().describe()["threads"] >= 1


def test_config_has_no_options() -> None:
    with pytest.raises(ValidationError, match="threads"):
        NumpyConfig(threads=2)  # type: ignore[call-arg]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
