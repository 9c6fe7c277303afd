"""The suite that compares an engine with NumPy, case by case.

from puffer_testing import ParityConformance, policy_cases

class TestPoliciesOnMine(ParityConformance):
    name = "mine"
    cases = policy_cases()
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from puffer_core.arrays import named_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.numpy_backend import numpy_ops
from puffer_testing.backend_cases import OpCase
from puffer_testing.backend_ops import (
    FLOAT32,
    FLOAT64,
    Tolerance,
    assert_close,
    check_gradients,
    gradients_of,
    weighted_sum,
)
from puffer_testing.components import build, find, host


class ParityConformance:
    """NumPy's numbers and dtypes for every case, and another engine's gradients. Set `name` and `cases`."""

    name = ""
    """As registered with the plugin host: `mine`, or `mine@distribution`."""
    options: ClassVar[dict[str, Any]] = {}
    """Options of its config model, where the defaults do not fit the test machine."""
    cases: ClassVar[tuple[OpCase, ...]] = ()
    """What is compared; ids are unique."""
    float64 = True
    """Whether the engine computes in float64 on this device."""
    float64_tolerance: ClassVar[Tolerance] = FLOAT64
    """How far it may be from NumPy in float64."""
    float32_tolerance: ClassVar[Tolerance] = FLOAT32
    """How far its float32 may be from NumPy in float64."""
    peer = "torch"
    """An engine whose gradients must be the same to rounding; finite differences stand in where it is missing."""

    def make(self) -> Backend:
        """The backend under test; called for every test."""
        backend: Backend = build("backend", self.name, self.options)
        return backend

    def capabilities(self) -> frozenset[str]:
        """What its spec says that it can do beyond the contract."""
        return find("backend", self.name).spec.capabilities

    @pytest.fixture
    def backend(self) -> Backend:
        return self.make()

    @pytest.fixture
    def trains(self) -> bool:
        return "train" in self.capabilities()

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """A test for each case that it is about."""
        suite = metafunc.cls
        if "case" not in metafunc.fixturenames or suite is None:
            return
        gradient = "gradient" in metafunc.function.__name__
        cases = [case for case in suite.cases if case.has_gradient or not gradient]
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])

    def test_op_gives_the_reference_in_float64(self, backend: Backend, case: OpCase) -> None:
        if not self.float64:
            pytest.skip("this device has no float64")
        self._compare(backend, case, np.float64, self.float64_tolerance)

    def test_op_gives_the_reference_in_float32(self, backend: Backend, case: OpCase) -> None:
        self._compare(backend, case, np.float32, self.float32_tolerance)

    def test_op_has_the_gradient_of_the_reference(self, backend: Backend, trains: bool, case: OpCase) -> None:
        if not (trains and self.float64):
            pytest.skip("no gradients in float64")
        inputs = list(case.draw(np.float64))
        generator = np.random.default_rng(0)
        results = [leaf for _, leaf in named_leaves(case.fn(numpy_ops, *inputs)) if leaf.dtype.kind == "f"]
        weights = [generator.standard_normal(leaf.shape) for leaf in results]
        gradients = gradients_of(backend, case, inputs, weights)
        peer = self._peer(backend)
        if peer is None:
            check_gradients(
                lambda *xs: float(weighted_sum(numpy_ops, case.fn(numpy_ops, *xs), weights)), inputs, gradients
            )
            return
        expected = gradients_of(peer, case, inputs, weights)
        for i, gradient in expected.items():
            np.testing.assert_allclose(gradients[i], gradient, **self.float64_tolerance, err_msg=f"input {i}")

    def _peer(self, backend: Backend) -> Backend | None:
        installed = {provided.spec.name for provided in host().provided("backend")}
        if self.peer not in installed or backend.name == self.peer:
            return None
        peer: Backend = build("backend", self.peer, {"device": "cpu"} if self.peer in ("jax", "torch") else {})
        return peer

    def _compare(self, backend: Backend, case: OpCase, dtype: type[np.floating[Any]], tolerance: Tolerance) -> None:
        inputs = case.draw(dtype)
        given = backend.to_device(tuple(x.copy() for x in inputs))
        got = backend.to_numpy(backend.compile(case.fn)(*given))
        exact = tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs)
        assert_close(got, case.fn(numpy_ops, *exact), tolerance, same_dtypes_as={"": case.fn(numpy_ops, *inputs)})
        for before, after in zip(inputs, backend.to_numpy(given), strict=True):
            np.testing.assert_array_equal(after, before, err_msg=f"{case.op} wrote into an argument")
