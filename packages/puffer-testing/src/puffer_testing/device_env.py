"""The conformance suite of device envs.

from puffer_testing.device_env import DeviceEnvConformance

class TestMine(DeviceEnvConformance):
    id = "mine"
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from puffer_core.arrays import Tree, named_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.env import DeviceEnv, DeviceStart, DeviceStep
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.plan import VectorConfig
from puffer_core.specs import EnvSpec
from puffer_core.vector.declaring import declared
from puffer_core.vector.device import backend_for, make_device_env
from puffer_core.vector.random_actions import random_actions
from puffer_testing.components import host
from puffer_testing.playing import outside

_SEEDS = (0, 3)


class _Played(NamedTuple):
    """A few steps under random actions: forms of the state before each, and what each row saw, `[steps, rows, ...]`."""

    forms: list[dict[str, tuple[Any, ...]]]
    start: dict[str, Any]
    steps: dict[str, Any]


class DeviceEnvConformance:
    """Everything that is promised of a `DeviceEnv`. Set `id`, or override `make`."""

    id: str = ""
    """As on the command line: a registered name, `family:ID`, or `py:module:Attribute`."""

    options: dict[str, Any] = {}
    """The env's options."""

    steps: int = 60
    """Steps of a test; enough for some episodes to end."""

    num_envs: int = 4
    """Environments that are played together."""

    deterministic: bool = False
    """The env has nothing random in it."""

    def make(self, num_envs: int) -> DeviceEnv:
        """A new env of `num_envs` environments."""
        assert self.id, f"{type(self).__name__} sets no `id` and overrides no `make`"
        provided = host().find_env(self.id)
        return make_device_env(provided, host().load(provided), dict(self.options), VectorConfig(num_envs=num_envs))

    def make_backend(self) -> Backend:
        """The engine: one that the env says it runs on."""
        provided = host().find_env(self.id)
        spec = declared(provided, host().load(provided))
        assert isinstance(spec, EnvSpec)
        return backend_for(host(), spec)

    @property
    def _played(self) -> _Played:
        suite: Any = type(self)  # mypy takes a class for unhashable
        return _play(suite)

    def test_it_is_a_device_env(self) -> None:
        assert isinstance(self.make(1), DeviceEnv), "it lacks spec, reset or step"

    @pytest.mark.parametrize("num_envs", [1, 3])
    def test_its_spec_has_the_rows_that_were_asked_for(self, num_envs: int) -> None:
        spec = self.make(num_envs).spec
        assert spec.num_envs == num_envs, f"asked for {num_envs} environments, spec.num_envs is {spec.num_envs}"
        assert spec.rows == num_envs * len(spec.agents), f"{len(spec.agents)} agents give {spec.rows} rows"

    def test_a_step_leaves_the_state_its_form(self) -> None:
        """A compiled loop allows for nothing else."""
        first, *rest = self._played.forms
        for form in rest:
            different = {name: (first.get(name), form.get(name)) for name in first | form}
            different = {name: forms for name, forms in different.items() if forms[0] != forms[1]}
            assert not different, f"the state's shapes and dtypes differ after a step: {different}"

    def test_observations_are_in_their_space(self) -> None:
        layout = self.make(1).spec.observation
        played = self._played
        ended = played.steps["terminated"] | played.steps["truncated"]
        seen = {
            "the first observation": played.start["observation"][None],
            "an observation": played.steps["observation"],
            "a final_observation": played.steps["final_observation"][ended][None],
        }
        for words, rows in seen.items():
            assert rows.dtype == layout.dtype, f"{words} has dtype {rows.dtype}, expected {layout.dtype}"
            wrong = outside(layout, rows) if rows.size else ""
            assert not wrong, f"{words} is not in its space: {wrong}"

    def test_rewards_are_numbers(self) -> None:
        reward = self._played.steps["reward"]
        assert reward.shape == (self.steps, self.make(self.num_envs).spec.rows), f"reward has shape {reward.shape}"
        assert np.isfinite(reward).all(), f"a reward is {reward[~np.isfinite(reward)][0]}, expected a finite number"

    def test_flags_are_flags(self) -> None:
        for name in ("terminated", "truncated"):
            dtype = self._played.steps[name].dtype
            assert dtype == np.bool_, f"{name} has dtype {dtype}, expected bool"

    def test_a_mask_leaves_a_choice(self) -> None:
        if not self.make(1).spec.action_mask:
            pytest.skip("the env gives no action mask")
        for record in (self._played.start, self._played.steps):
            assert record["action_mask"].any(axis=-1).all(), "an action mask allows no action at all"

    def test_an_ended_episode_leaves_its_last_observation(self) -> None:
        steps = self._played.steps
        ended = steps["terminated"] | steps["truncated"]
        if not ended.any():
            pytest.skip(f"no episode ended within {self.steps} steps; raise `steps`")
        same = np.array_equal(steps["final_observation"][ended], steps["observation"][ended])
        assert not same, "wherever an episode ended, observation and final_observation are equal"
        between = np.array_equal(steps["final_observation"][~ended], steps["observation"][~ended])
        assert between, "where no episode ended, final_observation is not the observation"

    def test_no_episode_outlasts_the_time_limit(self) -> None:
        limit = self.make(1).spec.max_episode_steps
        if limit is None or limit > self.steps:
            pytest.skip(f"the time limit is {limit}; `steps` is {self.steps}")
        length = np.zeros(self._played.steps["reward"].shape[1], np.int64)
        for ended in self._played.steps["terminated"] | self._played.steps["truncated"]:
            length += 1
            assert not ((length >= limit) & ~ended).any(), f"an episode goes on after {limit} steps, its time limit"
            length[ended] = 0

    def test_noise_comes_from_its_source_alone(self) -> None:
        played = [_first_steps(type(self), seed) for seed in (_SEEDS[0], _SEEDS[0], _SEEDS[1])]
        assert played[0] == played[1], "the same seed gives another start or step"
        assert self.deterministic or played[0] != played[2], (
            "another seed gives the same start and step; if the env has no randomness, set deterministic = True"
        )


@cache
def _play(suite: type[DeviceEnvConformance]) -> _Played:
    env, backend = suite().make(suite.num_envs), suite().make_backend()
    reset, step = backend.compile(_reset_of(env)), backend.compile(_step_of(env))
    forms, kept = [], []
    state, start = reset(backend.rng(_SEEDS[0]))
    rng, action = np.random.default_rng(0), env.spec.action
    mask = backend.to_numpy(start).get("action_mask")
    for number in range(suite.steps):
        forms.append({path: (x.shape, str(x.dtype)) for path, x in named_leaves(backend.to_numpy(state))})
        chosen = action.split(random_actions(action, rng, env.spec.rows, mask))
        state, seen = step(state, backend.to_device(chosen), backend.rng(number))
        kept.append({name: np.array(x) for name, x in _rows(env, backend.to_numpy(seen)).items()})
        mask = kept[-1].get("action_mask")
    steps = {name: np.stack([one[name] for one in kept]) for name in kept[0]}
    return _Played(forms, _rows(env, backend.to_numpy(start)), steps)


def _first_steps(suite: type[DeviceEnvConformance], seed: int) -> list[bytes]:
    env, backend = suite().make(suite.num_envs), suite().make_backend()

    def both(ops: Ops, action: Tree, rng: Rng) -> Tree:
        first, second = ops.split(rng, 2)
        begun = env.reset(ops, first)
        outcome = env.step(ops, begun.state, action, second)
        return {"a": begun.observation, "b": outcome.observation, "c": outcome.reward, "d": outcome.state}

    action = env.spec.action.split(random_actions(env.spec.action, np.random.default_rng(0), env.spec.rows))
    found = backend.compile(both)(backend.to_device(action), backend.rng(seed))
    return [np.asarray(x).tobytes() for _, x in named_leaves(backend.to_numpy(found))]


def _reset_of(env: DeviceEnv) -> Any:
    def reset(ops: Ops, rng: Rng) -> tuple[Tree, dict[str, Tree]]:
        begun: DeviceStart = env.reset(ops, rng)
        return begun.state, {"observation": begun.observation, **begun.extras}

    return reset


def _step_of(env: DeviceEnv) -> Any:
    def step(ops: Ops, state: Tree, action: Tree, rng: Rng) -> tuple[Tree, dict[str, Tree]]:
        outcome: DeviceStep = env.step(ops, state, action, rng)
        seen = {name: value for name, value in vars(outcome).items() if name not in ("state", "extras")}
        return outcome.state, seen | outcome.extras

    return step


def _rows(env: DeviceEnv, seen: dict[str, Tree]) -> dict[str, Any]:
    """Nested observations as rows of their layout."""
    join = env.spec.observation.join
    return {name: join(value) if name.endswith("observation") else value for name, value in seen.items()}
