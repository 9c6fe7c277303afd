"""gymnax's environments as device envs: dynamics, ends of episodes, dtypes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import gymnasium
import jax
import numpy as np
import pytest

from puffer_backend_jax.backend import JaxBackend
from puffer_env_gymnax.making import make
from puffer_testing.device_env import DeviceEnvConformance


@cache
def backend():
    return JaxBackend()


def played(env, actions, state=None):
    """The reset state, and every step of one compiled loop, as NumPy arrays."""

    def run(ops, actions, rng):
        first, rest = ops.split(rng, 2)
        begun = env.reset(ops, first)

        def step(carry, action):
            state, rng = carry
            now, rng = ops.split(rng, 2)
            outcome = env.step(ops, state, action, now)
            return (outcome.state, rng), {key: value for key, value in vars(outcome).items() if key != "extras"}

        return begun.state, ops.scan(step, (begun.state, rest), actions)[1]

    return backend().to_numpy(backend().compile(run)(backend().to_device(actions), backend().rng(0)))


class TestCartPole(DeviceEnvConformance):
    id = "gymnax:CartPole-v1"
    options = {"max_steps_in_episode": 30}


class TestBreakout(DeviceEnvConformance):
    id = "gymnax:Breakout-MinAtar"


@pytest.mark.parametrize("id", ["Acrobot-v1", "Pendulum-v1", "MountainCar-v0"])
def test_a_time_limit_truncates(id: str) -> None:
    env = make(3, env_id=id, max_steps_in_episode=4)
    lead, action = (9, 3), env.spec.action
    _, steps = played(env, np.zeros((*lead, *action.shape), np.float32 if action.kind == "box" else np.int64))
    assert steps["truncated"][:, 0].tolist() == [False, False, False, True] * 2 + [False]
    assert not steps["terminated"].any()
    assert steps["state"]["time"][:, 0].tolist() == [1, 2, 3, 0, 1, 2, 3, 0, 1]
    ended = steps["truncated"]
    assert (steps["final_observation"][ended] != steps["observation"][ended]).any(axis=-1).all()
    assert steps["observation"].dtype == steps["reward"].dtype == np.float32


def test_cartpole_moves_as_gymnasiums_does() -> None:
    env = make(2, env_id="CartPole-v1")
    actions = np.random.default_rng(0).integers(2, size=(40, 2))
    first, steps = played(env, actions)
    other = gymnasium.make("CartPole-v1").unwrapped
    other.reset(seed=0)
    other.state = tuple(float(first[name][0]) for name in ("x", "x_dot", "theta", "theta_dot"))
    for t, action in enumerate(actions[:, 0]):
        observation, reward, terminated, _, _ = other.step(int(action))
        np.testing.assert_allclose(steps["final_observation"][t, 0], observation, rtol=1e-4, atol=1e-5)
        assert (steps["reward"][t, 0], steps["terminated"][t, 0]) == (reward, terminated)
        if terminated:
            break
    assert terminated
    assert not steps["truncated"].any()


def test_it_plays_what_gymnax_plays() -> None:
    """Also where the backend has 64 bits: gymnax's own step gives the same from the same keys."""
    env = make(2, env_id="MountainCar-v0")
    original, params = env._env, env._params
    _, steps = played(env, np.full((3, 2), 2))
    first = jax.random.split(jax.random.wrap_key_data(np.zeros(2, np.uint32), impl="threefry2x32"))[0]
    _, state = jax.vmap(original.reset_env, (0, None))(jax.random.split(first, 2), params)
    for t in range(3):
        key = jax.random.split(jax.random.key(t), 2)
        observation, state, reward, *_ = jax.vmap(original.step, (0, 0, 0, None))(key, state, np.full(2, 2), params)
        np.testing.assert_allclose(steps["observation"][t], observation, rtol=1e-5)
        np.testing.assert_array_equal(steps["reward"][t], reward)


def test_an_episode_that_terminates_at_its_limit_is_not_truncated() -> None:
    env = make(1, env_id="CartPole-v1")
    actions = np.ones((20, 1), np.int64)
    ends = int(played(env, actions)[1]["terminated"][:, 0].argmax()) + 1
    env._params = replace(env._params, max_steps_in_episode=ends)
    _, steps = played(env, actions)
    assert steps["terminated"][ends - 1, 0]
    assert not steps["truncated"][ends - 1, 0]


@pytest.mark.parametrize("id", ["Catch-bsuite", "FourRooms-misc", "FrozenLake-misc", "UmbrellaChain-bsuite"])
def test_observations_have_the_dtype_of_their_space(id: str) -> None:
    """gymnax's own differ in some of these, or are no arrays of reals."""
    env = make(2, env_id=id)
    with jax.enable_x64(new_val=True):
        start = jax.eval_shape(lambda rng: env.reset(backend().ops, rng).observation, backend().rng(0))
    assert (start.shape, start.dtype) == ((2, *env.spec.observation.shape), env.spec.observation.dtype)
