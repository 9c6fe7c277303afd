"""Metrics for TensorBoard, written without TensorFlow.

The names are imported when they are first used: the plugin's module is in this package and has to be light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_logger_tensorboard.config import TensorBoardConfig
    from puffer_logger_tensorboard.logger import TensorBoardLogger

__all__ = ["TensorBoardConfig", "TensorBoardLogger"]

__getattr__ = lazy_names(
    __name__,
    {
        "TensorBoardConfig": "puffer_logger_tensorboard.config",
        "TensorBoardLogger": "puffer_logger_tensorboard.logger",
    },
)
