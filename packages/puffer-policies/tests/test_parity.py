"""Every policy on every engine that is installed: NumPy's numbers, and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from puffer_testing import ParityConformance, policy_cases


@pytest.mark.skipif(not find_spec("puffer_backend_torch"), reason="not installed")
class TestTorch(ParityConformance):
    name = "torch"
    options = {"device": "cpu"}
    cases = policy_cases()


@pytest.mark.skipif(not find_spec("puffer_backend_jax"), reason="not installed")
class TestJax(ParityConformance):
    name = "jax"
    options = {"device": "cpu", "cache": False}
    cases = policy_cases()

    @pytest.fixture(autouse=True)
    def compiled_fast(self) -> Iterator[None]:
        """Small programs run once each: XLA need not try hard."""
        import jax

        jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003
        yield
        jax.config.update("jax_disable_most_optimizations", False)  # noqa: FBT003


@pytest.mark.skipif(not find_spec("puffer_backend_onnx"), reason="not installed")
class TestOnnx(ParityConformance):
    name = "onnx"
    cases = policy_cases()
    float64 = False
    float32_tolerance = {"rtol": 1e-5, "atol": 1e-5}
