"""Weights & Biases as a metric logger: metrics and artifacts, offline until you log in.

The names are imported when they are first used: the plugin's module is in this package and has to be light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_logger_wandb.config import WandbConfig
    from puffer_logger_wandb.logger import WandbLogger

__all__ = ["WandbConfig", "WandbLogger"]

__getattr__ = lazy_names(
    __name__, {"WandbConfig": "puffer_logger_wandb.config", "WandbLogger": "puffer_logger_wandb.logger"}
)
