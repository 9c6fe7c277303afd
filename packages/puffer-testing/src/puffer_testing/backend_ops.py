"""What every op of an engine must do: NumPy's numbers, NumPy's dtypes, and the gradients of finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest

from puffer_core.arrays import Params, Tree, named_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.ops import Ops
from puffer_core.numpy_backend import numpy_ops
from puffer_testing.backend_cases import CASES, DIFFERENTIABLE, OpCase

Tolerance: TypeAlias = Mapping[str, Any]
"""`rtol` and `atol`."""

FLOAT64: Tolerance = {"rtol": 1e-9, "atol": 1e-9}
FLOAT32: Tolerance = {"rtol": 1e-5, "atol": 1e-6}
GRADIENT: Tolerance = {"rtol": 1e-5, "atol": 1e-7}
STEP = 1e-6

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def assert_close(got: Tree, expected: Tree, tolerance: Tolerance, *, same_dtypes_as: Tree = None) -> None:
    """The same names, shapes and numbers; with `same_dtypes_as`, its dtypes (of integers only that they are)."""
    got, expected = dict(named_leaves(got)), dict(named_leaves(expected))
    assert list(got) == list(expected), f"got arrays {list(got)}, expected {list(expected)}"
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, **tolerance, err_msg=f"array {name!r}")
        assert np.shape(got[name]) == np.shape(array), f"array {name!r}: shapes"
    for name, array in named_leaves(same_dtypes_as or {}):
        given, wanted = got[name].dtype, np.asarray(array).dtype
        assert given == wanted or given.kind == wanted.kind == "i", f"array {name!r} is {given}, expected {wanted}"


def finite_differences(fn: Callable[..., float], inputs: list[np.ndarray], at: int) -> np.ndarray:
    """The gradient of `fn(*inputs)` in input `at`, by central differences in float64."""
    gradient = np.zeros_like(inputs[at])
    moved = [x.copy() for x in inputs]
    for index in np.ndindex(gradient.shape):
        sides = []
        for step in (STEP, -STEP):
            moved[at][index] = inputs[at][index] + step
            sides.append(fn(*moved))
        moved[at][index] = inputs[at][index]
        gradient[index] = (sides[0] - sides[1]) / (2 * STEP)
    return gradient


def weighted_sum(ops: Ops, results: Tree, weights: list[Any]) -> Any:
    """One number that depends on every floating-point result, each element in its own way."""
    leaves = [leaf for _, leaf in named_leaves(results) if leaf.dtype in (ops.float32, ops.float64)]
    total: Any = 0.0
    for leaf, weight in zip(leaves, weights, strict=True):
        total = total + ops.sum(leaf * weight)
    return total


class OpsConformance:
    """Part of `BackendConformance`: the cases of `backend_cases`, one test each for values and gradients."""

    float64 = True
    """Whether the engine computes in float64 on this device."""

    @every_case
    def test_op_gives_the_reference_in_float64(self, backend: Backend, case: OpCase) -> None:
        if not self.float64:
            pytest.skip("this device has no float64")
        self._compare(backend, case, np.float64, FLOAT64)

    @every_case
    def test_op_gives_the_reference_in_float32(self, backend: Backend, case: OpCase) -> None:
        self._compare(backend, case, np.float32, FLOAT32)

    @pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.id)
    def test_op_has_the_gradient_of_finite_differences(self, backend: Backend, trains: bool, case: OpCase) -> None:
        if not (trains and self.float64):
            pytest.skip("no gradients in float64")
        inputs = list(case.draw(np.float64))
        generator = np.random.default_rng(0)
        results = [leaf for _, leaf in named_leaves(case.fn(numpy_ops, *inputs)) if leaf.dtype.kind == "f"]
        weights = [generator.standard_normal(leaf.shape) for leaf in results]
        gradients = _gradients(backend, case, inputs, weights)
        for i, gradient in gradients.items():
            expected = finite_differences(
                lambda *xs: float(weighted_sum(numpy_ops, case.fn(numpy_ops, *xs), weights)), inputs, i
            )
            np.testing.assert_allclose(gradient, expected, **GRADIENT, err_msg=f"input {i}")

    def test_gradients_stay_finite_where_numbers_are_extreme(self, backend: Backend, trains: bool) -> None:
        if not trains:
            pytest.skip("the engine does not differentiate")
        ops = backend.ops

        def loss(params: dict[str, Any]) -> tuple[Any, Tree]:
            x = params["x"]
            masked = ops.where(x > 0, x, -1e38)
            parts = (ops.softplus(x), ops.sigmoid(x), ops.silu(x), ops.log_softmax(masked, axis=-1) * 1e-38)
            return sum(ops.sum(part) for part in parts), ()

        x = np.array([-300.0, -90.0, 0.0, 90.0, 300.0], np.float32)
        gradient = backend.to_numpy(ops.value_and_grad(loss)(backend.to_device({"x": x}))[1])["x"]
        assert np.isfinite(gradient).all(), f"gradient {gradient} at {x}"

    def _compare(self, backend: Backend, case: OpCase, dtype: type[np.floating[Any]], tolerance: Tolerance) -> None:
        inputs = case.draw(dtype)
        given = backend.to_device(tuple(x.copy() for x in inputs))
        got = backend.to_numpy(backend.compile(case.fn)(*given))
        exact = tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs)
        assert_close(got, case.fn(numpy_ops, *exact), tolerance, same_dtypes_as={"": case.fn(numpy_ops, *inputs)})
        for before, after in zip(inputs, backend.to_numpy(given), strict=True):
            np.testing.assert_array_equal(after, before, err_msg=f"{case.op} wrote into an argument")


def _gradients(
    backend: Backend, case: OpCase, inputs: list[np.ndarray], weights: list[np.ndarray]
) -> dict[int, np.ndarray]:
    """The engine's gradient of the weighted sum of a case's results in each floating-point input, by its position."""
    names = {i: f"input.{i}" for i, x in enumerate(inputs) if x.dtype.kind == "f"}

    def gradient(ops: Ops, params: Params, constants: dict[str, Any], weights: Any) -> Params:
        def loss(params: Params) -> tuple[Any, Tree]:
            arrays = [params[names[i]] if i in names else constants[str(i)] for i in range(len(inputs))]
            return weighted_sum(ops, case.fn(ops, *arrays), list(weights)), ()

        return ops.value_and_grad(loss)(params)[1]

    params = {name: inputs[i] for i, name in names.items()}
    constants = {str(i): x for i, x in enumerate(inputs) if i not in names}
    arrays = backend.to_numpy(backend.compile(gradient)(*backend.to_device((params, constants, tuple(weights)))))
    return {i: arrays[name] for i, name in names.items()}
