"""A gymnax environment as a device env."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.env import DeviceStart, DeviceStep, VectorEnvSpec
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout
from puffer_env_gymnax.spaces import to_gymnasium

_BY_ROW, _BY_ROWS = (0, None), (0, 0, 0, None)


class GymnaxEnv:
    """Rows of a gymnax environment; implements `DeviceEnv`, on JAX alone.

    gymnax's own `step` begins anew unasked and says no more where an episode ended. Here `step_env`, `is_truncated` and
    `reset_env` are called one by one: an episode that its time limit ended is truncated, unless it terminated with the
    same step, and its last observation is kept.

    gymnax computes in 32 bits, whatever the backend does; observations leave in the dtype of their space.

    Args:
        num_envs: rows, >= 1.
        env: made by gymnax.
        params: of `env`.
        id: as gymnax has it.

    Raises:
        UnsupportedError: a space that is neither Discrete nor Box, or a state that arrays cannot hold.
    """

    def __init__(self, num_envs: int, env: Any, params: Any, id: str) -> None:
        self._env, self._params = env, params
        observation = Layout.of(to_gymnasium(id, "observation", env.observation_space(params)))
        action_space = env.action_space(params)
        self._action_dtype = jnp.dtype(action_space.dtype)
        self.spec = VectorEnvSpec.single_agent(
            id=f"gymnax:{id}",
            num_envs=num_envs,
            observation=observation,
            action=Layout.of(to_gymnasium(id, "action", action_space)),
            snapshot=True,
            max_episode_steps=int(getattr(params, "max_steps_in_episode", 0)) or None,
        )
        with jax.enable_x64(new_val=False):
            _, state = jax.eval_shape(partial(env.reset_env, params=params), jax.random.key(0))
        leaves, self._form = jax.tree_util.tree_flatten_with_path(state)
        self._names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
        self._dtypes = [leaf.dtype for _, leaf in leaves]
        for name, dtype in zip(self._names, self._dtypes, strict=True):
            if jnp.issubdtype(dtype, jax.dtypes.extended):
                raise UnsupportedError(
                    f"gymnax:{id}: {name} of its state is {dtype}, expected numbers or flags",
                    remedy="Keep the raw bits of a key: jax.random.key_data.",
                )

    def reset(self, ops: Ops, rng: Rng) -> DeviceStart:
        """First states and observations of every row."""
        with jax.enable_x64(new_val=False):
            observation, state = self._first(rng)
        return DeviceStart(state, self._observed(ops, observation))

    def step(self, ops: Ops, state: Tree, action: Tree, rng: Rng) -> DeviceStep:
        """Next states and outcomes."""
        action = ops.astype(action, self._action_dtype)
        with jax.enable_x64(new_val=False):
            choice, chance = jax.random.split(rng)
            keys, before = jax.random.split(choice, self.spec.rows), self._as_gymnax(state)
            last, after, reward, done, _ = jax.vmap(self._env.step_env, _BY_ROWS)(keys, before, action, self._params)
            late = jax.vmap(self._env.is_truncated, _BY_ROW)(after, self._params)
            terminated = done.astype(bool)
            truncated = late.astype(bool) & ~terminated
            ended = terminated | truncated
            first, begun = self._first(chance)
            walked = self._as_dict(after)
            following = {name: _where(ended, begun[name], walked[name]) for name in walked}
            observation = _where(ended, first, last)
        return DeviceStep(
            state=following,
            observation=self._observed(ops, observation),
            reward=ops.astype(reward, ops.float32),
            terminated=terminated,
            truncated=truncated,
            final_observation=self._observed(ops, last),
        )

    def _first(self, rng: Rng) -> tuple[Array, dict[str, Array]]:
        keys = jax.random.split(rng, self.spec.rows)
        observation, state = jax.vmap(self._env.reset_env, _BY_ROW)(keys, self._params)
        return observation, self._as_dict(state)

    def _as_dict(self, state: Any) -> dict[str, Array]:
        """The state's arrays by name, in dtypes of their own: a Python number among them would take its neighbour's."""
        leaves = zip(self._names, jax.tree_util.tree_leaves(state), self._dtypes, strict=True)
        return {name: jax.lax.convert_element_type(leaf, dtype) for name, leaf, dtype in leaves}

    def _as_gymnax(self, state: Tree) -> Any:
        return jax.tree_util.tree_unflatten(self._form, [state[name] for name in self._names])

    def _observed(self, ops: Ops, observation: Array) -> Array:
        return ops.astype(observation, self.spec.observation.dtype)


def _where(flags: Array, a: Array, b: Array) -> Array:
    return jnp.where(flags.reshape(-1, *(1,) * (b.ndim - 1)), a, b)
