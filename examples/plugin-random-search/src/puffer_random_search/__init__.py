"""Augmented random search: a trainer that needs no gradients."""

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_random_search.config import RandomSearchConfig
    from puffer_random_search.trainer import RandomSearch

__all__ = ["RandomSearch", "RandomSearchConfig"]

__getattr__ = lazy_names(
    __name__,
    {"RandomSearch": "puffer_random_search.trainer", "RandomSearchConfig": "puffer_random_search.config"},
)
