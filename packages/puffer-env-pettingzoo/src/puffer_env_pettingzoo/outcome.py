"""What an env's `reset` and `step` gave: checked, and taken apart by agent."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from puffer_env_pettingzoo.errors import BrokenEnvError
from puffer_env_pettingzoo.team import Agent

_NUMBERS = frozenset((float, int, np.float64, np.float32))
_OUTCOME = ("observations", "rewards", "terminations", "truncations", "infos")


def checked(outcome: Any, count: int) -> tuple[Any, ...]:
    """What `reset` (2 dicts) or `step` (5) gave, if it is that.

    Raises:
        BrokenEnvError: it is something else.
    """
    expected = _OUTCOME if count == len(_OUTCOME) else ("observations", "infos")
    if not isinstance(outcome, tuple) or len(outcome) != count:
        got = f"{len(outcome)} values" if isinstance(outcome, tuple) else repr(outcome)
        raise BrokenEnvError(f"it gave {got}, expected {', '.join(expected)}")
    for values in outcome:
        if not isinstance(values, dict):
            name = next(name for name, other in zip(expected, outcome, strict=True) if other is values)
            raise BrokenEnvError(f"{name} are {values!r}, expected a dict by agent")
    return outcome


def of_agents(values: Mapping[Agent, Any], agents: Collection[Agent], name: str) -> list[Any]:
    """The values of some agents, in their order.

    Raises:
        BrokenEnvError: one has none.
    """
    try:
        return [values[agent] for agent in agents]
    except KeyError as error:
        expected = "one for every agent that acted or acts next"
        raise BrokenEnvError(f"it got no {name}, expected {expected}", error.args[0]) from None


def check_known(name: str, values: Mapping[Agent, Any], known: Mapping[Agent, int]) -> None:
    """Refuse values of an agent that nobody knows.

    Raises:
        BrokenEnvError: there is one.
    """
    if not values.keys() <= known.keys():
        unknown = next(agent for agent in values if agent not in known)
        raise BrokenEnvError(f"a {name} is given to {unknown!r}, expected some of {list(known)}")


def numbers(rewards: list[Any], agents: Collection[Agent]) -> Sequence[float]:
    """The rewards, if they are numbers.

    Raises:
        BrokenEnvError: one is not, or is NaN.
    """
    if _NUMBERS.issuperset(map(type, rewards)) and not math.isnan(sum(rewards)):
        return rewards
    return [_number(agent, reward) for agent, reward in zip(agents, rewards, strict=True)]


def _number(agent: Agent, value: Any) -> float:
    if np.shape(value) != () or np.asarray(value).dtype.kind not in "biuf":
        raise BrokenEnvError(f"the reward is {value!r}, expected a number", agent)
    number = float(value)
    if math.isnan(number):
        raise BrokenEnvError("the reward is NaN, expected a number", agent)
    return number
