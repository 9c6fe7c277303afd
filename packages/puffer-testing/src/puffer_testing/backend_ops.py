"""How results and gradients of two engines are compared: tolerances, finite differences, gradients of any case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from puffer_core.arrays import Params, Tree, named_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.ops import Ops
from puffer_testing.backend_cases import OpCase

Tolerance: TypeAlias = Mapping[str, Any]
"""`rtol` and `atol`."""

FLOAT64: Tolerance = {"rtol": 1e-9, "atol": 1e-9}
FLOAT32: Tolerance = {"rtol": 1e-5, "atol": 1e-6}
GRADIENT: Tolerance = {"rtol": 1e-5, "atol": 1e-7}
STEP = 1e-6
EACH_ELEMENT = 100
"""Inputs of up to so many elements together are moved element by element; of more, each along a random direction."""


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
    directions = np.eye(inputs[at].size).reshape(-1, *inputs[at].shape)
    return np.array([slope(fn, inputs, at, direction) for direction in directions]).reshape(inputs[at].shape)


def slope(fn: Callable[..., float], inputs: list[np.ndarray], at: int, direction: np.ndarray) -> float:
    """How fast `fn(*inputs)` grows where input `at` moves along `direction`, by a central difference."""
    sides = [fn(*inputs[:at], inputs[at] + step * direction, *inputs[at + 1 :]) for step in (STEP, -STEP)]
    return (sides[0] - sides[1]) / (2 * STEP)


def check_gradients(fn: Callable[..., float], inputs: list[np.ndarray], gradients: Mapping[int, np.ndarray]) -> None:
    """Compare gradients of `fn(*inputs)`, by the input's position, with finite differences.

    Raises:
        AssertionError: one differs.
    """
    few = sum(gradient.size for gradient in gradients.values()) <= EACH_ELEMENT
    for at, gradient in gradients.items():
        if few:
            np.testing.assert_allclose(gradient, finite_differences(fn, inputs, at), **GRADIENT, err_msg=f"input {at}")
            continue
        direction = np.random.default_rng(at).standard_normal(gradient.shape)
        direction /= np.linalg.norm(direction)
        along = np.sum(gradient * direction)
        np.testing.assert_allclose(along, slope(fn, inputs, at, direction), **GRADIENT, err_msg=f"input {at}")


def weighted_sum(ops: Ops, results: Tree, weights: list[Any]) -> Any:
    """One number that depends on every floating-point result, each element in its own way."""
    leaves = [leaf for _, leaf in named_leaves(results) if leaf.dtype in (ops.float32, ops.float64)]
    total: Any = 0.0
    for leaf, weight in zip(leaves, weights, strict=True):
        total = total + ops.sum(leaf * weight)
    return total


def gradients_of(
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
