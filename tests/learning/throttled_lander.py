"""LunarLander with both engines at one of three throttles: Gymnasium's env and wrapper, MultiDiscrete actions."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.wrappers import DiscretizeAction


def make() -> gymnasium.Env[Any, Any]:
    return DiscretizeAction(gymnasium.make("LunarLanderContinuous-v3"), (3, 3), multidiscrete=True)
