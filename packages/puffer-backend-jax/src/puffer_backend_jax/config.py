"""Options of the JAX backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class JaxConfig(BaseModel):
    """How JAX is run.

    Example:
        >>> JaxConfig(device="cpu").cache
        True

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Annotated[
        str,
        Field(pattern=r"^(auto|(cpu|gpu|cuda|rocm|tpu)(:\d+)?)$"),
        "one of auto, cpu, gpu, cuda, rocm, tpu, or with a number: cuda:N",
    ] = "auto"
    """Where arrays live: `cpu`, `gpu`, `cuda:N`, `tpu`. `auto`: what JAX prefers, an accelerator if there is one."""
    peer_timeout: Annotated[float, Field(gt=0)] = 300.0
    """Seconds to wait for the other processes to come, where several train together (RANK and WORLD_SIZE are set)."""
    devices: Annotated[int, Field(ge=1)] = 1
    """So many devices, from `device` on, share each minibatch out among them; parameters are on every one."""
    cache: bool = True
    """Keep compiled programs in the user's cache directory (`$XDG_CACHE_HOME/puffer/jax`), so that the next run starts
    sooner. A directory that JAX was told of (`JAX_COMPILATION_CACHE_DIR`) is used in its place."""
