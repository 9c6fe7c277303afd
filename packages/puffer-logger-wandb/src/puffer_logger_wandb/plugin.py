"""What this distribution provides."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_core import LoggerSpec, hookimpl


@hookimpl
def puffer_loggers() -> Sequence[LoggerSpec]:
    """The logger `wandb`."""
    return [
        LoggerSpec(
            name="wandb",
            summary="Weights & Biases: metrics and artifacts, offline until you log in",
            target="puffer_logger_wandb.logger:WandbLogger",
            config="puffer_logger_wandb.config:WandbConfig",
            capabilities=frozenset({"artifacts"}),
        )
    ]
