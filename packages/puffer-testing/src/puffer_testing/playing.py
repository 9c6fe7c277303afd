"""Playing a vector env with reproducible actions, and recording every bit that it wrote."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from puffer_core.contracts.env import EnvBuffers, VectorEnv, VectorEnvSpec
from puffer_core.spaces.layout import Layout, Leaf
from puffer_core.vector.random_actions import random_actions

Recorded: TypeAlias = dict[str, np.ndarray[Any, Any]]
"""Name of a buffer to `[steps, rows, ...]`; final observations are 0 where no episode ended, as is unused space between
the leaves of nested observations."""

_OUTCOMES = ("observation", "active", "reward", "terminated", "truncated", "action_mask", "global_state", "cost")


class Player:
    """Binds an env to few slots, so that they are used again and again, and plays it with random valid actions.

    The actions of a row depend on `action_seed`, its number in the whole batch and the action masks alone.

    Args:
        env: not bound yet.
        buffers: the slots; four new ones where none are given.
        action_seed: seeds the actions.
        alike: the same stream of actions for every environment.
        overlapped: call `send` and `recv` in place of `step`.
        first: the number of environment 0 in the batch that the env is a part of.

    Example:
        >>> import gymnasium
        >>> from puffer_core.vector import SerialVectorEnv
        >>> player = Player(SerialVectorEnv(lambda: gymnasium.make("CartPole-v1"), 2, id="CartPole-v1"))
        >>> player.reset(seed=0)["observation"].shape, player.run(steps=10)["reward"].shape
        ((1, 2, 4), (10, 2))
    """

    def __init__(
        self,
        env: VectorEnv,
        *,
        buffers: EnvBuffers | None = None,
        action_seed: int = 0,
        alike: bool = False,
        overlapped: bool = False,
        first: int = 0,
    ) -> None:
        self.env = env
        self.buffers = buffers or EnvBuffers.allocate(env.spec, 4)
        self.infos: list[Any] = []
        agents = len(env.spec.agents)
        streams = [row % agents if alike else first * agents + row for row in range(env.spec.rows)]
        self.rngs = [np.random.default_rng((action_seed, stream)) for stream in streams]
        self._overlapped = overlapped
        self._first = first
        self._slot = 0
        env.bind(self.buffers)

    def reset(self, seed: int) -> Recorded:
        """Start anew; what slot 0 then holds, as one step."""
        self.env.reset(seed, self._first)
        self._slot = 0
        return stacked([recorded(self.buffers, 0, self.env.spec)])

    def run(self, steps: int) -> Recorded:
        """Play on, and record each slot as it is written."""
        return stacked([self._step() for _ in range(steps)])

    def actions(self) -> np.ndarray[Any, Any]:
        """The next actions, `[rows, *action]`, in the space's own numbering."""
        layout, masks = self.env.spec.action, self.buffers.action_mask
        active = self.buffers.active[self._slot]  # the other rows' masks mean nothing
        rows = [
            random_action(layout, rng, masks[self._slot, row] if masks is not None and active[row] else None)
            for row, rng in enumerate(self.rngs)
        ]
        return np.stack(rows).astype(layout.dtype)

    def _step(self) -> Recorded:
        action = self.actions()
        if self._slot == self.buffers.slots - 1:
            self.buffers.wrap()
            self._slot = 0
        self._slot += 1
        if self._overlapped:
            self.env.send(action, self._slot)
            self.infos.append(self.env.recv())
        else:
            self.infos.append(self.env.step(action, self._slot))
        return recorded(self.buffers, self._slot, self.env.spec)

    @property
    def slot(self) -> int:
        """The slot that was written last."""
        return self._slot


def random_action(
    layout: Layout, rng: np.random.Generator, mask: np.ndarray[Any, Any] | None = None
) -> np.ndarray[Any, Any]:
    """One action within its space, in the space's own numbering; of the choices, one that `mask` allows.

    Example:
        >>> import gymnasium
        >>> layout = Layout.of(gymnasium.spaces.Dict(jump=gymnasium.spaces.Discrete(3, start=5)))
        >>> layout.structure(random_action(layout, np.random.default_rng(0), np.array([False, True, False])))
        {'jump': np.int64(6)}
    """
    chosen: np.ndarray[Any, Any] = random_actions(layout, rng, 1, None if mask is None else mask[None])[0]
    return chosen


def recorded(buffers: EnvBuffers, slot: int, spec: VectorEnvSpec) -> Recorded:
    """A copy of all that one slot says."""
    outcome = {name: getattr(buffers, name)[slot].copy() for name in _OUTCOMES if getattr(buffers, name) is not None}
    ended = outcome["terminated"] | outcome["truncated"]
    final = buffers.final_observation[slot].copy()
    final[~ended] = 0
    outcome["final_observation"] = final
    layout = spec.observation
    for name in ("observation", "final_observation") if layout.is_nested else ():
        outcome[name] = layout.join(layout.split(outcome[name]))
    if buffers.final_global_state is not None:
        state = buffers.final_global_state[slot].copy()
        state[np.setdiff1d(np.arange(spec.num_envs), spec.row_env[ended])] = 0
        outcome["final_global_state"] = state
    return outcome


def stacked(steps: list[Recorded]) -> Recorded:
    """Steps along a new leading axis."""
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def difference(one: Recorded, other: Recorded) -> str:
    """The first difference of two recordings down to the bit, in words; empty where there is none.

    Example:
        >>> difference({"reward": np.zeros((3, 2))}, {"reward": np.array([[0, 0], [0, 1], [0, 0.0]])})
        'reward differs first at step 1, row 1: 0.0 against 1.0'
    """
    for name in one:
        a, b = one[name], other[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name} is {a.dtype} {a.shape} against {b.dtype} {b.shape}"
        unequal = _bits(a) != _bits(b)
        if unequal.any():
            step, row = (int(axis[0]) for axis in np.nonzero(unequal.any(axis=-1)))
            return (
                f"{name} differs first at step {step}, row {row}: {_said(a[step, row])} against {_said(b[step, row])}"
            )
    return ""


def _bits(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(array).reshape(*array.shape[:2], -1).view(np.uint8)


def _said(value: np.ndarray[Any, Any]) -> str:
    return str(value.tolist()) if value.size <= 8 else f"{value.ravel()[:8].tolist()[:-1]} ..."


def outside(layout: Layout, rows: np.ndarray[Any, Any], counts: np.ndarray[Any, Any] | None = None) -> str:
    """The first of `rows`, `[steps, rows, *shape]`, that is not in its space, in words; empty where all are.

    Choices are expected as they lie in the slots: counted from 0.

    Args:
        layout: of the space.
        rows: to be looked at.
        counts: bool `[steps, rows]`, which of them; all where None.
    """
    parts = layout.split(rows)
    for leaf, part in zip(layout.leaves, parts.values() if isinstance(parts, dict) else [parts], strict=True):
        beyond, expected = _beyond(leaf, part)
        wrong = np.asarray(beyond.reshape(*rows.shape[:2], -1).any(axis=-1))
        if counts is not None:
            wrong = np.asarray(wrong & counts)
        if wrong.any():
            step, row = (int(axis[0]) for axis in np.nonzero(wrong))
            where = f"{leaf.name} of " if leaf.path else ""
            return f"{where}step {step}, row {row}: got {_said(part[step, row])}, expected {expected}"
    return ""


def _beyond(leaf: Leaf, part: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], str]:
    """Which elements are not in their space, and in which they should be."""
    if leaf.kind == "box":
        return np.asarray(~((part >= leaf.low) & (part <= leaf.high))), f"within the bounds of a {leaf}"
    sizes = np.array(leaf.sizes, np.int64).reshape(leaf.shape)
    wrong = np.asarray(part < 0) | (part.astype(np.int64) >= sizes)
    return wrong, f"choices counted from 0, below {sizes.tolist()}"
