"""The state of environments of several agents that give it, through PettingZoo's wrappers."""

from __future__ import annotations

from pettingzoo.utils.wrappers import BaseParallelWrapper, BaseWrapper

from puffer_core.vector.env_state import EnvState, Wrappers
from puffer_env_pettingzoo.team import TeamEnv
from puffer_env_pettingzoo.tuples import TupleAgents
from puffer_env_pettingzoo.turns import Turns

PETTINGZOO = Wrappers(
    bases=(BaseWrapper, BaseParallelWrapper),
    package="pettingzoo.utils.wrappers",
    kept={"OrderEnforcingWrapper": ("_has_reset", "_has_updated")},
    harmless=frozenset({"AssertOutOfBoundsWrapper", "CaptureStdoutWrapper", "ClipOutOfBoundsWrapper"}),
)


def state_of(env: TeamEnv) -> EnvState:
    """What gives and takes the state of an environment.

    Example:
        >>> from pettingzoo.classic.tictactoe.tictactoe import raw_env
        >>> state_of(Turns(raw_env())).missing
        'raw_env has no get_state and set_state'
    """
    if isinstance(env, TupleAgents):
        return EnvState(env.env)
    return EnvState(env.env if isinstance(env, Turns) else env, PETTINGZOO)
