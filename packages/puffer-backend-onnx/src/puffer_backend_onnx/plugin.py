"""What this distribution registers: the backend `onnx`."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_core import BackendSpec, hookimpl


@hookimpl
def puffer_backends() -> Sequence[BackendSpec]:
    """The backend `onnx`."""
    return [
        BackendSpec(
            name="onnx",
            summary="ONNX: exports what was learned, and acts with ONNX Runtime",
            target="puffer_backend_onnx.backend:OnnxBackend",
            config="puffer_backend_onnx.config:OnnxConfig",
            capabilities=frozenset({"export"}),
        )
    ]
