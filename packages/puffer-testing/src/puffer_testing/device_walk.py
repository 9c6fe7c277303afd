"""A walk along a line as a device env, over `ops` alone: it runs on every engine, and its returns are known."""

from __future__ import annotations

from gymnasium.spaces import Box, Discrete

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.env import DeviceStart, DeviceStep, VectorEnvSpec
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.spaces.layout import Layout


class DeviceWalk:
    """Step left (0) or right (1) on places 0..`length`; implements `DeviceEnv`.

    The right end terminates the episode and pays 1, every other step costs 0.1, and `limit` steps truncate it. Place 0
    is a wall. An observation is (place, steps taken), float32. Always right from place 0 returns
    `1 - 0.1 (length - 1)`.

    Args:
        num_envs: rows, >= 1.
        length: the right end, >= 1.
        limit: steps of an episode, >= 1.
        scattered: begin anywhere left of the end, by chance, instead of at place 0.
        masked: an action mask forbids to walk into the wall.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> env = DeviceWalk(2, length=1)
        >>> start = env.reset(numpy_ops, np.random.default_rng(0))
        >>> env.step(numpy_ops, start.state, np.array([1, 0]), np.random.default_rng(0)).terminated
        array([ True, False])
    """

    def __init__(
        self, num_envs: int, *, length: int = 3, limit: int = 5, scattered: bool = False, masked: bool = False
    ) -> None:
        self.spec = VectorEnvSpec.single_agent(
            id="device-walk",
            num_envs=num_envs,
            observation=Layout.of(Box(0.0, float(max(length, limit)), (2,))),
            action=Layout.of(Discrete(2)),
            action_mask=masked,
            max_episode_steps=limit,
        )
        self._length, self._limit, self._scattered = length, limit, scattered

    def reset(self, ops: Ops, rng: Rng) -> DeviceStart:
        """Every row at its first place."""
        state = self._first(ops, rng)
        return DeviceStart(state, self._observe(ops, state), self._extras(ops, state))

    def step(self, ops: Ops, state: Tree, action: Tree, rng: Rng) -> DeviceStep:
        """Walk, and begin anew where that ended the episode."""
        moved = state["place"] + (2.0 * ops.astype(action, ops.float32) - 1.0)
        place = ops.maximum(moved, ops.zeros_like(moved))
        walked = {"place": place, "steps": state["steps"] + 1.0}
        terminated = place >= self._length
        truncated = ops.logical_and(walked["steps"] >= self._limit, ops.logical_not(terminated))
        ended = ops.logical_or(terminated, truncated)
        first = self._first(ops, rng)
        after = {name: ops.where(ended, first[name], walked[name]) for name in walked}
        return DeviceStep(
            state=after,
            observation=self._observe(ops, after),
            reward=ops.where(terminated, 1.0, ops.full((self.spec.rows,), -0.1)),
            terminated=terminated,
            truncated=truncated,
            final_observation=self._observe(ops, walked),
            extras=self._extras(ops, after),
        )

    def _first(self, ops: Ops, rng: Rng) -> dict[str, Array]:
        rows = (self.spec.rows,)
        place = ops.floor(ops.uniform(rng, rows) * float(self._length)) if self._scattered else ops.zeros(rows)
        return {"place": place, "steps": ops.zeros(rows)}

    def _observe(self, ops: Ops, state: dict[str, Array]) -> Array:
        return ops.stack([state["place"], state["steps"]], axis=1)

    def _extras(self, ops: Ops, state: dict[str, Array]) -> dict[str, Array]:
        if not self.spec.action_mask:
            return {}
        left = state["place"] > 0.0
        return {"action_mask": ops.stack([left, ops.ones_like(left)], axis=1)}
