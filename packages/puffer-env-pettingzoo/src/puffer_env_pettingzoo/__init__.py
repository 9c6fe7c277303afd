"""PettingZoo's parallel and AEC envs, MPE2, and Gymnasium envs with Tuple spaces, as vector envs: one row an agent.

The names are imported when they are first used: the plugin's module is in this package and has to be light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_env_pettingzoo.making import make, make_tuple
    from puffer_env_pettingzoo.vector import AgentsVectorEnv

__all__ = ["AgentsVectorEnv", "make", "make_tuple"]

_MAKING = dict.fromkeys(("make", "make_tuple"), "puffer_env_pettingzoo.making")
__getattr__ = lazy_names(__name__, {"AgentsVectorEnv": "puffer_env_pettingzoo.vector", **_MAKING})
