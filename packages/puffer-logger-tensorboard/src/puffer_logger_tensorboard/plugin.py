"""What this distribution registers: the logger `tensorboard`."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_core import LoggerSpec, hookimpl


@hookimpl
def puffer_loggers() -> Sequence[LoggerSpec]:
    """The logger `tensorboard`."""
    return [
        LoggerSpec(
            name="tensorboard",
            summary="event files for TensorBoard, under RUN/tensorboard",
            target="puffer_logger_tensorboard.logger:TensorBoardLogger",
            config="puffer_logger_tensorboard.config:TensorBoardConfig",
            capabilities=frozenset({"artifacts"}),
        )
    ]
