"""Every policy on every engine that is installed: NumPy's numbers, and gradients."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from puffer_testing import ParityConformance, policy_cases


@pytest.mark.skipif(not find_spec("puffer_backend_torch"), reason="not installed")
class TestTorch(ParityConformance):
    name = "torch"
    options = {"device": "cpu"}
    cases = policy_cases()


@pytest.mark.skipif(not find_spec("puffer_backend_jax"), reason="not installed")
@pytest.mark.usefixtures("compiled_fast")
class TestJax(ParityConformance):
    name = "jax"
    options = {"device": "cpu", "cache": False}
    cases = policy_cases()


@pytest.mark.skipif(not find_spec("puffer_backend_onnx"), reason="not installed")
class TestOnnx(ParityConformance):
    name = "onnx"
    cases = policy_cases()
    float64 = False
    float32_tolerance = {"rtol": 1e-5, "atol": 1e-5}
