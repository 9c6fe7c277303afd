"""Portable policies: written once against `ops`, run by every engine."""

from puffer_policies.mlp import Mlp, MlpConfig

__all__ = ["Mlp", "MlpConfig"]
