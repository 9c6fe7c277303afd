"""Options of the torch backend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class TorchConfig(BaseModel):
    """How PyTorch is run.

    Example:
        >>> TorchConfig(threads=2).threads
        2

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"), "one of auto, cpu, mps, cuda, cuda:N"] = (
        "auto"
    )
    """Where arrays live: `cpu`, `cuda`, `cuda:N`, `mps`. `auto`: the first CUDA device, else the CPU."""
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """CPU threads of one operation. `auto`: one for passes below 1024 rows, where more cost time, else all."""
    compile: bool = False
    """Compile losses with `torch.compile`: slower to start; pays for large networks on a GPU, hardly on a CPU."""
    deterministic: bool = False
    """Refuse operations whose result varies from call to call. Slower to start; a CPU repeats itself without it."""
    peer_timeout: Annotated[float, Field(gt=0)] = 300.0
    """Seconds to wait for the other processes, to come and in every exchange, where several train together (RANK and
    WORLD_SIZE are set, as `torchrun` does)."""
    keep_freed_memory: bool = True
    """Have the C library keep freed memory for the next array (Linux, CPU). Large minibatches take half the time."""
