"""An engine that serves the primitives alone, against the suite of every backend; and what composites refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from puffer_core.composites import ComposedOps, NumpyDtypes
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.ops import Ops
from puffer_core.errors import ShapeError
from puffer_core.numpy_backend import NumpyBackend, numpy_ops
from puffer_core.optimizers import FormulaOptimizer
from puffer_testing.backend import BackendConformance

OPS = {name for name in vars(Ops) if not name.startswith("_")} - {"name"}
COMPOSED = OPS & set(vars(ComposedOps))


class BareOps(NumpyDtypes, ComposedOps):
    """NumPy's primitives, and nothing that could be written over them."""

    name = "bare"

    def __getattr__(self, name: str) -> Any:
        return getattr(numpy_ops, name)


class Bare(NumpyBackend):
    name = "bare"
    ops: Ops = BareOps()


class TestComposites(BackendConformance):
    """Against NumPy's own where it has some, and numbers worked by hand in test_numpy_backend.py where it has not."""

    cases = tuple(case for case in BackendConformance.cases if case.op in COMPOSED)

    def make(self) -> Bare:
        return Bare()

    def capabilities(self) -> frozenset[str]:
        return frozenset()


def test_every_composite_is_an_op() -> None:
    assert {name for name in vars(ComposedOps) if not name.startswith("_")} == COMPOSED


def test_conv2d_refuses_a_kernel_larger_than_the_image() -> None:
    with pytest.raises(ShapeError, match="kernel is 3 x 3"):
        Bare.ops.conv2d(np.zeros((1, 2, 2, 1)), np.zeros((3, 3, 1, 1)), np.zeros(1))


@pytest.mark.parametrize("reverse", [False, True])
def test_one_step_of_a_recurrence_is_what_a_scan_begins_with(reverse: bool) -> None:
    decay, increment, initial = np.array([[0.5], [0.25]]), np.array([[1.0], [2.0]]), np.array([4.0])
    both = Bare.ops.linear_recurrence(decay, increment, initial, reverse=reverse)
    first = slice(1, 2) if reverse else slice(0, 1)
    one = Bare.ops.linear_recurrence(decay[first], increment[first], initial, reverse=reverse)
    np.testing.assert_array_equal(one, both[first])


def test_a_row_without_any_key_attends_to_all() -> None:
    value = np.array([[1.0], [3.0]])
    got = numpy_ops.attention(np.ones((1, 2)), np.ones((2, 2)), value, mask=np.zeros((1, 2), np.bool_))
    np.testing.assert_allclose(got, [[2.0]])


def test_a_python_rate_is_as_wide_as_the_parameters() -> None:
    optimizer = FormulaOptimizer(numpy_ops, OptimizerConfig(name="sgd"))
    stepped, _ = optimizer.apply({"w": np.zeros(1)}, {"w": np.ones(1)}, {}, 0.1)
    assert stepped["w"][0] == -0.1  # of float32 it would be 1.5e-9 off


def test_nothing_to_learn_changes_nothing() -> None:
    for name in ("adam", "sgd"):
        optimizer = FormulaOptimizer(numpy_ops, OptimizerConfig(name=name))
        params = {"stats.count": np.ones(())}
        state = optimizer.init(params)
        assert optimizer.apply(params, {}, state, 0.1) == (params, state)
