"""What this distribution registers: the backend `jax`."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_core import BackendSpec, hookimpl


@hookimpl
def puffer_backends() -> Sequence[BackendSpec]:
    """The backend `jax`."""
    return [
        BackendSpec(
            name="jax",
            summary="JAX, compiled: an update is one program, kept on disk for the next run",
            target="puffer_backend_jax.backend:JaxBackend",
            config="puffer_backend_jax.config:JaxConfig",
            capabilities=frozenset({"distributed", "train"}),
        )
    ]
