"""Portable policies: written once against `ops`, run by every engine."""

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_policies.mlp import Mlp, MlpConfig

__all__ = ["Mlp", "MlpConfig"]

__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "puffer_policies.mlp"))
