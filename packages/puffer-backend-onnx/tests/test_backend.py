"""The ONNX backend against the contract, and what is its own."""

from puffer_testing.backend import BackendConformance


class TestOnnx(BackendConformance):
    name = "onnx"
    float64 = False  # ONNX Runtime has convolutions, erf and more for float32 alone
