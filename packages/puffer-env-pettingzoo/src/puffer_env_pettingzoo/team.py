"""The agents of an environment: their rows, their groups, and how what each sees and does lies in common rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import gymnasium
import numpy as np

from puffer_core.errors import EnvError, ShapeError, UnsupportedError
from puffer_core.spaces.layout import Layout
from puffer_core.vector.columns import suspicious
from puffer_core.vector.masks import KEY, MaskWriter, shown
from puffer_env_pettingzoo.padding import common_layout

Agent: TypeAlias = Any
"""A name; PettingZoo allows any value that a dict takes as its key."""

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
        observation: the space of what its agents are given; an action mask in it is taken out.
        action: the space of their actions.

    Raises:
        UnsupportedError: a space without a layout.
    """

    def __init__(self, name: str, observation: gymnasium.Space[Any], action: gymnasium.Space[Any]) -> None:
        self.name = name
        self.action = _layout(name, "action", action)
        self._shown = shown(observation, self.action)
        self.observation = _layout(name, "observation", self._shown.seen)
        self.mask_in = "observation" if self._shown.mask else ""
        """Where the masks stand: `observation`, `info`, or nowhere."""
        self.plain = not self._shown.mask and not self.observation.is_nested
        self._masks = MaskWriter(self.action)
        self.own_action: Callable[[Any], Any] | None = None
        """From a row of the common layout to the group's own action; None where the row is the action."""

    def fit(self, observation: Layout, action: Layout) -> None:
        """Learn in which common layouts values of this role lie."""
        alike = self.observation.shape == observation.shape
        self._width = None if alike else self.observation.shape[0]
        self.own_action = _converter(self.action, action)

    def take(self, value: Any) -> tuple[list[Any], Any]:
        """The leaves of an observation, and the mask that is in it; None where there is none.

        Raises:
            ShapeError: it is not nested like its space.
        """
        if self.plain:
            return [value], None
        leaves, parts = self._shown.columns([value])
        mask = [part[0] for part in parts]
        return [leaf[0] for leaf in leaves], (mask[0] if len(mask) == 1 else tuple(mask) or None)

    def write(self, leaves: list[Any], row: np.ndarray[Any, Any]) -> None:
        """Write the leaves of an observation into a row of the common layout.

        Raises:
            ShapeError: one does not fit the group's space, or holds NaN.
        """
        if self._width is not None:
            row[self._width :] = 0
            row = row[: self._width]
        for leaf, value in zip(self.observation.leaves, leaves, strict=True):
            place = row if self.plain or not leaf.path else leaf.view(row)
            leaf.encode(value, place)
            if leaf.dtype.kind == "f" and suspicious(place) and np.isnan(place).any():
                raise ShapeError(f"{leaf.name}{': ' if leaf.path else ''}got NaN in {place.tolist()}, expected numbers")

    def write_mask(self, mask: Any, row: np.ndarray[Any, Any]) -> None:
        """Write a mask of the group's own choices into a row of the common layout; what only others have is False.

        Args:
            mask: not read where `mask_in` says that there is none: then all that the group has is allowed.
            row: of the mask's buffer.

        Raises:
            ShapeError: it is missing or has another size, or it allows nothing.
        """
        size = self.action.mask_size
        row[size:] = False
        if self.mask_in:
            self._masks.write(row[None, :size], [mask], self.mask_in)
        else:
            row[:size] = True


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
        roles = tuple(Role(name, *_spaces(env, own[0])) for name, own in _named(groups).items())
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
    def masked(self) -> bool:
        """Whether some agent has a mask, or fewer choices than the rows."""
        return any(role.mask_in or role.action.mask_size != self.action.mask_size for role in self.roles)

    def padding_masks(self) -> np.ndarray[Any, Any]:
        """Masks `[agents, choices]` that allow each agent what its group has."""
        return np.stack(
            [np.arange(self.action.mask_size) < self.of_row(row).action.mask_size for row in self.row.values()]
        )

    def find_masks(self, infos: Mapping[Agent, Any]) -> None:
        """Look for masks in the infos of a reset; they are then expected in every info of the group."""
        for agent, row in self.row.items():
            role, info = self.of_row(row), infos.get(agent) or {}
            if not role.mask_in and role.action.mask_size and KEY in info:
                role.mask_in = "info"

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


def _converter(own: Layout, common: Layout) -> Callable[[Any], Any] | None:
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
