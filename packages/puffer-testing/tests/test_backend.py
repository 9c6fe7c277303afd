"""The backend suite itself: its table is complete, and it sees the mistakes that it is there for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.ops import Ops
from puffer_core.errors import PufferError
from puffer_core.numpy_backend import NumpyBackend, numpy_ops
from puffer_testing.backend import BackendConformance, _members
from puffer_testing.backend_cases import CASES, DIFFERENTIABLE, OpCase
from puffer_testing.backend_ops import assert_close, check_gradients, finite_differences
from puffer_testing.policy_parity import PolicyUse, policy_cases

TESTED_APART = {
    "name", "bool", "uint8", "int32", "int64", "float32", "float64",
    "value_and_grad", "clip_by_global_norm", "split", "uniform", "normal", "permutation",
}  # fmt: skip


class _Patched:
    """NumPy with one op replaced."""

    def __init__(self, op: str, fn: Any) -> None:
        setattr(self, op, fn)

    def __getattr__(self, name: str) -> Any:
        return getattr(numpy_ops, name)


def _suite(op: str, fn: Any) -> tuple[BackendConformance, Any]:
    backend = NumpyBackend()
    backend.ops = _Patched(op, fn)
    return BackendConformance(), backend


def _case(id: str) -> OpCase:
    return next(case for case in CASES if case.id == id)


def test_every_op_has_a_case() -> None:
    assert _members(Ops) - TESTED_APART <= {case.op for case in CASES}


def test_ids_are_unique() -> None:
    ids = [case.id for case in CASES]
    assert sorted(ids) == sorted(set(ids))


def test_inputs_are_the_same_at_every_draw() -> None:
    case = _case("lstm")
    for first, second in zip(case.draw(np.float32), case.draw(np.float32), strict=True):
        np.testing.assert_array_equal(first, second)


def test_differentiable_cases_have_something_to_differentiate() -> None:
    assert len(DIFFERENTIABLE) > 80
    assert "argmax" not in {case.op for case in DIFFERENTIABLE}


def test_wrong_number_is_seen() -> None:
    suite, backend = _suite("tanh", lambda x: np.tanh(x) * 1.0001)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        suite.test_op_gives_the_reference_in_float32(backend, _case("tanh"))


def test_promotion_to_float64_is_seen() -> None:
    suite, backend = _suite("tanh", lambda x: np.tanh(x) * np.float64(1))
    with pytest.raises(AssertionError, match="float64, expected float32"):
        suite.test_op_gives_the_reference_in_float32(backend, _case("tanh"))


def test_writing_into_an_argument_is_seen() -> None:
    suite, backend = _suite("relu", lambda x: np.maximum(x, 0, out=x))
    with pytest.raises(AssertionError, match="relu wrote into an argument"):
        suite.test_op_gives_the_reference_in_float32(backend, _case("relu"))


def test_wrong_gradient_is_seen() -> None:
    def value_and_grad(_: Any) -> Any:
        return lambda params, *rest: ((0.0, ()), {name: np.ones_like(x) for name, x in sorted(params.items())})

    suite, backend = _suite("value_and_grad", value_and_grad)
    with pytest.raises(AssertionError, match="input 0"):
        suite.test_op_has_the_gradient_of_the_reference(backend, trains=True, case=_case("tanh"))


def test_finite_differences_find_the_slope_of_a_square() -> None:
    gradient = finite_differences(lambda x, y: float((x * x * y).sum()), [np.array([1.0, 3.0]), np.array(2.0)], 0)
    np.testing.assert_allclose(gradient, [4.0, 12.0], rtol=1e-8)


def test_missing_array_is_seen() -> None:
    with pytest.raises(AssertionError, match="got arrays"):
        assert_close({"a": np.zeros(1)}, {"b": np.zeros(1)}, {})


def test_suite_asks_for_a_name() -> None:
    with pytest.raises(AssertionError, match="sets no `name`"):
        BackendConformance().make()


def test_a_large_gradient_is_compared_along_directions() -> None:
    x = np.linspace(-1.0, 1.0, 400)
    check_gradients(lambda x: float((x**3).sum()), [x], {0: 3 * x**2})
    with pytest.raises(AssertionError, match="input 0"):
        check_gradients(lambda x: float((x**3).sum()), [x], {0: 3.1 * x**2})


def test_a_policy_is_not_built_before_it_is_run() -> None:
    assert policy_cases(PolicyUse("no-such-policy")) == ()
    (case,) = policy_cases(PolicyUse("py:no_such_module:Policy", id="mine"))
    with pytest.raises(PufferError, match="no_such_module"):
        case.draw(np.float64)
