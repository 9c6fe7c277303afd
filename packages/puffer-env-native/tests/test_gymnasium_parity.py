"""The native classics are Gymnasium's: same state and action in, same next state, reward and flags out."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv

from puffer_core.contracts.env import EnvBuffers
from puffer_env_native.batch import NativeVectorEnv
from puffer_env_native.cartpole import MAX_ANGLE, MAX_POSITION, CartPole
from puffer_env_native.pendulum import Pendulum

TRANSITIONS = 100_000
CARTPOLE = ("x", "x_speed", "angle", "angle_speed")
PENDULUM = ("angle", "speed")


def bound(env: NativeVectorEnv, slots: int = 2) -> EnvBuffers:
    buffers = EnvBuffers.allocate(env.spec, slots)
    env.bind(buffers)
    env.reset(0)
    return buffers


def put(env: NativeVectorEnv, **fields: np.ndarray) -> None:
    state = env.snapshot()
    state["fields"].update(fields)
    env.restore(state)


def next_observation(buffers: EnvBuffers, slot: int = 1) -> np.ndarray:
    """What the step led to, whether or not a new episode has begun."""
    ended = buffers.terminated[slot] | buffers.truncated[slot]
    return np.where(ended[:, None], buffers.final_observation[slot], buffers.observation[slot])


def uniform(rng: np.random.Generator, **bounds: float) -> dict[str, np.ndarray]:
    return {name: rng.uniform(-bound, bound, TRANSITIONS) for name, bound in bounds.items()}


def test_cartpole_transitions_are_gymnasiums() -> None:
    rng = np.random.default_rng(1)
    states = uniform(rng, x=1.1 * MAX_POSITION, x_speed=4.0, angle=1.3 * MAX_ANGLE, angle_speed=4.0)
    actions = rng.integers(0, 2, TRANSITIONS)
    env, theirs = CartPole.batch(TRANSITIONS), CartPoleEnv()
    buffers = bound(env)
    put(env, **states)
    env.step(actions, 1)

    expected = np.empty((TRANSITIONS, 4), np.float32)
    reward, terminated = np.empty(TRANSITIONS, np.float32), np.empty(TRANSITIONS, np.bool_)
    for i, state in enumerate(np.stack([states[name] for name in CARTPOLE], axis=1)):
        theirs.state, theirs.steps_beyond_terminated = state, None
        expected[i], reward[i], terminated[i], _, _ = theirs.step(actions[i])

    np.testing.assert_allclose(next_observation(buffers), expected, rtol=3e-7, atol=1e-9)
    np.testing.assert_array_equal(buffers.reward[1], reward)
    np.testing.assert_array_equal(buffers.terminated[1], terminated)
    assert 0.1 < terminated.mean() < 0.9
    assert not buffers.truncated[1].any()


def test_pendulum_transitions_are_gymnasiums() -> None:
    rng = np.random.default_rng(2)
    states = uniform(rng, angle=30.0, speed=8.0)
    actions = rng.uniform(-3, 3, (TRANSITIONS, 1)).astype(np.float32)
    env, theirs = Pendulum.batch(TRANSITIONS), PendulumEnv()
    buffers = bound(env)
    put(env, **states)
    env.step(actions, 1)

    expected, reward = np.empty((TRANSITIONS, 3), np.float32), np.empty(TRANSITIONS, np.float32)
    for i, state in enumerate(np.stack([states[name] for name in PENDULUM], axis=1)):
        theirs.state = state
        expected[i], reward[i], _, _, _ = theirs.step(actions[i])

    np.testing.assert_allclose(buffers.observation[1], expected, rtol=3e-7, atol=1e-7)
    np.testing.assert_allclose(buffers.reward[1], reward, rtol=1e-6, atol=1e-7)
    assert not buffers.terminated[1].any()


def balance(observation: np.ndarray) -> int:
    return int(observation[2] + 0.4 * observation[3] + 0.02 * observation[0] > 0)


@pytest.mark.parametrize("start", [0.0, 0.03, 0.2])
def test_a_cartpole_episode_is_gymnasiums_to_its_end(start: float) -> None:
    theirs = gymnasium.make("CartPole-v1")
    theirs.reset(seed=0)
    theirs.unwrapped.state = np.array([0.0, 0.0, start, 0.0])
    env = CartPole.batch(1)
    buffers = bound(env)
    put(env, **dict(zip(CARTPOLE, np.array([[0.0], [0.0], [start], [0.0]]), strict=True)))
    buffers.observation[1] = theirs.unwrapped.state
    ended, steps = False, 0
    while not ended:
        action = balance(buffers.observation[1, 0])
        expected, _, terminated, truncated, _ = theirs.step(action)
        env.step(np.array([action]), 1)
        np.testing.assert_allclose(next_observation(buffers)[0], expected, rtol=1e-5, atol=1e-6)
        assert (buffers.terminated[1, 0], buffers.truncated[1, 0]) == (terminated, truncated)
        ended, steps = terminated or truncated, steps + 1
    assert steps == 500 or start == 0.2


def test_a_pendulum_episode_is_truncated_after_200_steps() -> None:
    env = Pendulum.batch(3)
    buffers = bound(env, slots=202)
    for slot in range(1, 202):
        env.step(np.zeros((3, 1), np.float32), slot)
    assert np.flatnonzero(buffers.truncated[:, 0]).tolist() == [200]
    assert not buffers.terminated.any()


def distance_from_uniform(sample: np.ndarray, bound: float) -> float:
    """Kolmogorov and Smirnov's statistic against the uniform distribution on [-bound, bound]."""
    expected = (np.sort(sample) + bound) / (2 * bound)
    ranks = np.arange(len(sample) + 1) / len(sample)
    return float(max(np.abs(expected - ranks[1:]).max(), np.abs(expected - ranks[:-1]).max()))


@pytest.mark.parametrize(
    ("env_class", "bounds"),
    [(CartPole, dict.fromkeys(CARTPOLE, 0.05)), (Pendulum, {"angle": math.pi, "speed": 1.0})],
)
def test_first_states_are_uniform_in_gymnasiums_ranges(env_class: type, bounds: dict[str, float]) -> None:
    env = env_class.batch(20_000)
    bound(env)
    fields = env.snapshot()["fields"]
    one_in_a_thousand = 1.95 / math.sqrt(20_000)
    for name, limit in bounds.items():
        assert distance_from_uniform(fields[name], limit) < one_in_a_thousand
    assert abs(np.corrcoef([fields[name] for name in bounds])[0, 1]) < 0.03
