"""Proximal Policy Optimization: the trainer, its options and its loss."""

from puffer_ppo.config import PpoConfig
from puffer_ppo.loss import ppo_loss
from puffer_ppo.trainer import Ppo

__all__ = ["Ppo", "PpoConfig", "ppo_loss"]
