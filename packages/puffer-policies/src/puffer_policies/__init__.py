"""Portable policies: written once against `ops`, run by every engine."""

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_policies.composite import Composite
    from puffer_policies.config import CnnConfig, GruConfig, LstmConfig, MinGruConfig
    from puffer_policies.mlp import Mlp, MlpConfig

__all__ = ["CnnConfig", "Composite", "GruConfig", "LstmConfig", "MinGruConfig", "Mlp", "MlpConfig"]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("Mlp", "MlpConfig"), "puffer_policies.mlp"),
        **dict.fromkeys(("CnnConfig", "GruConfig", "LstmConfig", "MinGruConfig"), "puffer_policies.config"),
        "Composite": "puffer_policies.composite",
    },
)
