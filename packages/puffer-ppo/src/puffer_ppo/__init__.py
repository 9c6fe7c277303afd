"""Proximal Policy Optimization: the trainer, its options and its loss."""

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_ppo.config import PpoConfig
    from puffer_ppo.loss import ppo_loss
    from puffer_ppo.trainer import Ppo

__all__ = ["Ppo", "PpoConfig", "ppo_loss"]

__getattr__ = lazy_names(
    __name__, {"Ppo": "puffer_ppo.trainer", "PpoConfig": "puffer_ppo.config", "ppo_loss": "puffer_ppo.loss"}
)
