"""gymnax's environments for Puffer: stepped on JAX, inside the program that also acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_env_gymnax.env import GymnaxEnv
    from puffer_env_gymnax.making import make

__all__ = ["GymnaxEnv", "make"]

__getattr__ = lazy_names(__name__, {"GymnaxEnv": "puffer_env_gymnax.env", "make": "puffer_env_gymnax.making"})
