"""The agents of an environment: their rows, their groups, and how what each sees and does lies in common rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import gymnasium
import numpy as np
from gymnasium.spaces import Dict

from puffer_core.errors import EnvError, ShapeError, UnsupportedError
from puffer_core.layout import Layout
from puffer_env_pettingzoo.errors import BrokenEnvError
from puffer_env_pettingzoo.padding import common_layout

Agent: TypeAlias = Any
"""A name; PettingZoo allows any value that a dict takes as its key."""

MASK = "action_mask"
_NUMBER = re.compile(r"[_-]?\d+$")


class TeamEnv(Protocol):
    """What is asked of an environment: a `pettingzoo.ParallelEnv` is one, and so are `Turns` and `TupleAgents`."""

    possible_agents: Any
    agents: Any

    def observation_space(self, agent: Any) -> Any: ...
    def action_space(self, agent: Any) -> Any: ...
    def reset(self, seed: int | None = None) -> Any: ...
    def step(self, actions: Any) -> Any: ...
    def render(self) -> Any: ...
    def close(self) -> Any: ...


class Role:
    """What the agents of a group see and do, and how that lies in rows that other groups share.

    Args:
        name: the group's.
        observation: the group's own layout, without a mask.
        action: the group's own layout.
        unmask: takes the observation out of a Dict that holds the mask too; None where observations have no mask.
    """

    def __init__(self, name: str, observation: Layout, action: Layout, unmask: Callable[[Any], Any] | None) -> None:
        self.name = name
        self.observation = observation
        self.action = action
        self.unmask = unmask
        self.own_action: Callable[[Any], Any] | None = None

    @classmethod
    def of(cls, name: str, observation: gymnasium.Space[Any], action: gymnasium.Space[Any]) -> Role:
        """The role of agents with these spaces."""
        own_action = _layout(name, "action", action)
        seen, unmask = _without_mask(observation, own_action.mask_size)
        return cls(name, _layout(name, "observation", seen), own_action, unmask)

    def fit(self, observation: Layout, action: Layout) -> None:
        """Learn in which common layouts values of this role lie."""
        alike = self.observation.shape == observation.shape
        self._width = None if alike else self.observation.shape[0]
        self._floats = [leaf for leaf in self.observation.leaves if leaf.dtype.kind == "f"]
        self.allowed = np.arange(action.mask_size) < self.action.mask_size
        self.own_action = _converter(self.action, action)

    def write(self, value: Any, row: np.ndarray[Any, Any]) -> None:
        """Write an observation without its mask into a row of the common layout.

        Raises:
            ShapeError: it does not fit the group's space, or holds NaN.
        """
        if self._width is not None:
            row[self._width :] = 0
            row = row[: self._width]
        self.observation.encode(value, row)
        for leaf in self._floats:
            part = leaf.view(row) if self.observation.is_nested else row
            if _suspicious(part) and np.isnan(part).any():
                where = f"{leaf.name}: " if leaf.path else ""
                raise ShapeError(f"{where}got NaN in {part.tolist()}, expected numbers")

    def mask(self, agent: Agent, own: Any, row: np.ndarray[Any, Any]) -> None:
        """Write an agent's own mask into a row of the common layout; None: all that its group has is allowed.

        Raises:
            BrokenEnvError: it has another size, or allows nothing.
        """
        row[:] = self.allowed
        if own is None:
            return
        flat = np.concatenate([np.ravel(part) for part in own]) if isinstance(own, tuple) else np.ravel(own)
        if flat.size != self.action.mask_size:
            raise BrokenEnvError(f"{MASK} has {flat.size} entries, expected {self.action.mask_size}", agent)
        row[: flat.size] = flat
        if not row.any():
            raise BrokenEnvError(f"{MASK} allows no action, expected at least one", agent)


@dataclass(frozen=True)
class Team:
    """The agents of an environment, in row order.

    Agents form a group if their spaces are equal and their names differ in a number at the end alone: `adversary_0` and
    `adversary_1`. The group has the name without the number, or the first agent's where that is taken.

    Args:
        row: agent to row within the environment.
        roles: the groups.
        role: index into `roles`, one a row.
        observation: layout of every row's observation.
        action: layout of every row's action.
        first_choice: the mask of an agent that waits: action 0 alone.
    """

    row: Mapping[Agent, int]
    roles: tuple[Role, ...]
    role: tuple[int, ...]
    observation: Layout
    action: Layout
    first_choice: np.ndarray[Any, Any]

    @classmethod
    def of(cls, env: TeamEnv) -> Team:
        """The team of an environment.

        Raises:
            EnvError: it has no agents, or does not know which there may be.
            UnsupportedError: a space without a layout, or spaces that nothing makes alike.
        """
        agents = list(getattr(env, "possible_agents", None) or ())
        if not agents:
            raise EnvError("possible_agents is empty or missing, expected every agent that may ever act, at least one")
        groups: dict[tuple[str, int], list[Agent]] = {}
        for agent in agents:
            groups.setdefault(_group_of(env, agent, groups), []).append(agent)
        roles = tuple(Role.of(name, *_spaces(env, own[0])) for name, own in _named(groups).items())
        index = {agent: i for i, own in enumerate(groups.values()) for agent in own}
        observation = common_layout([role.observation for role in roles], "observations")
        action = common_layout([role.action for role in roles], "actions")
        for role in roles:
            role.fit(observation, action)
        row = {agent: i for i, agent in enumerate(agents)}
        return cls(row, roles, tuple(index[agent] for agent in agents), observation, action, _first_choice(action))

    @property
    def names(self) -> tuple[str, ...]:
        """The agents as text."""
        return tuple(map(str, self.row))

    @property
    def padded_choices(self) -> bool:
        """Whether some group has fewer choices than the rows."""
        return any(role.action.mask_size != self.action.mask_size for role in self.roles)

    def of_row(self, row: int) -> Role:
        """The role of the agent of a row."""
        return self.roles[self.role[row]]

    def check_same(self, env: TeamEnv, first: TeamEnv) -> None:
        """Refuse an environment whose agents or spaces are not those of the first.

        Raises:
            EnvError: they differ; names the agent.
        """
        agents = list(getattr(env, "possible_agents", None) or ())
        if agents != list(self.row):
            raise EnvError(f"it has the agents {agents}, environment 0 has {list(self.row)}")
        for agent in agents:
            own, expected = _spaces(env, agent), _spaces(first, agent)
            if own != expected:
                raise EnvError(f"agent {agent!r} has the spaces {own}, in environment 0 {expected}")


def _spaces(env: TeamEnv, agent: Agent) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any]]:
    spaces = env.observation_space(agent), env.action_space(agent)
    for name, space in zip(("observation_space", "action_space"), spaces, strict=True):
        if not isinstance(space, gymnasium.Space):
            raise EnvError(f"agent {agent!r}: {name} gave {space!r}, expected a gymnasium.Space")
    return spaces


def _group_of(env: TeamEnv, agent: Agent, groups: Mapping[tuple[str, int], list[Agent]]) -> tuple[str, int]:
    """The group that has this agent's prefix and spaces; the next of that prefix where there is none yet."""
    prefix = _NUMBER.sub("", str(agent)) or "agent"
    alike = [key for key in groups if key[0] == prefix]
    for key in alike:
        if _spaces(env, groups[key][0]) == _spaces(env, agent):
            return key
    return prefix, len(alike)


def _named(groups: Mapping[tuple[str, int], list[Agent]]) -> dict[str, list[Agent]]:
    return {str(own[0]) if later else prefix: own for (prefix, later), own in groups.items()}


def _layout(group: str, what: str, space: gymnasium.Space[Any]) -> Layout:
    try:
        return Layout.of(space)
    except UnsupportedError as error:
        raise UnsupportedError(f"{what} space of {group}: {error.message}", remedy=error.remedy) from None


def _without_mask(
    space: gymnasium.Space[Any], mask_size: int
) -> tuple[gymnasium.Space[Any], Callable[[Any], Any] | None]:
    """The space of what an agent sees, where PettingZoo's convention puts the action mask beside it."""
    if not isinstance(space, Dict) or MASK not in space.spaces or len(space.spaces) == 1:
        return space, None
    if not mask_size or math.prod(space[MASK].shape or ()) != mask_size:
        return space, None
    rest = {name: part for name, part in space.items() if name != MASK}
    if list(rest) == ["observation"]:
        return rest["observation"], lambda value: value["observation"]
    return Dict(rest), lambda value: {name: value[name] for name in rest}


def _converter(own: Layout, common: Layout) -> Callable[[Any], Any] | None:
    """From a row of the common layout to a group's own action; None where the row is the action."""
    if own == common:
        return own.structure if own.is_nested else None
    leaf = own.leaves[0]
    if leaf.kind == "discrete":
        shift = leaf.start[0] - common.leaves[0].start[0]
        return (lambda value: value + shift) if shift else None
    return lambda value: np.clip(value[tuple(map(slice, own.shape))], leaf.low, leaf.high)


def _first_choice(action: Layout) -> np.ndarray[Any, Any]:
    mask = np.zeros(action.mask_size, np.bool_)
    sizes = [size for leaf in action.leaves for size in leaf.sizes]
    mask[np.cumsum([0, *sizes])[: len(sizes)]] = True
    return mask


def _suspicious(part: np.ndarray[Any, Any]) -> bool:
    """Whether there may be a NaN; by a sum, because `isnan` slows the envs' arithmetic after it (core's rows.py)."""
    if part.size <= 256:
        return math.isnan(sum(part.ravel().tolist()))
    with np.errstate(all="ignore"):
        return math.isnan(np.add.reduce(part, axis=None))
