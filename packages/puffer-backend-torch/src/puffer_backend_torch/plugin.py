"""What this distribution registers: the backend `torch`."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_backend_torch.process import wait_passively
from puffer_core import BackendSpec, hookimpl

wait_passively()  # here, since a policy's own module may import torch before the backend does


@hookimpl
def puffer_backends() -> Sequence[BackendSpec]:
    """The backend `torch`."""
    return [
        BackendSpec(
            name="torch",
            summary="PyTorch, eager: trains on CPU, CUDA and MPS",
            target="puffer_backend_torch.backend:TorchBackend",
            config="puffer_backend_torch.config:TorchConfig",
            capabilities=frozenset({"distributed", "train"}),
        )
    ]
