"""The native classics are Gymnasium's: same state and action in, same next state, reward and flags out."""

from __future__ import annotations

import math
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)

from puffer_core.contracts.env import EnvBuffers
from puffer_env_native.acrobot import MAX_SPEED_1, MAX_SPEED_2, Acrobot
from puffer_env_native.batch import NativeVectorEnv
from puffer_env_native.cartpole import MAX_ANGLE, MAX_POSITION, CartPole
from puffer_env_native.mountain_car import CONTINUOUS_GOAL, MountainCar, MountainCarContinuous
from puffer_env_native.pendulum import Pendulum

TRANSITIONS = 100_000
FEWER = 20_000
"""Of the games that Gymnasium takes long to step."""
CARTPOLE = ("x", "x_speed", "angle", "angle_speed")
PENDULUM = ("angle", "speed")
ACROBOT = ("angle_1", "angle_2", "speed_1", "speed_2")
CAR = ("position", "speed")


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


def uniform(rng: np.random.Generator, count: int = TRANSITIONS, **bounds: float) -> dict[str, np.ndarray]:
    return {name: rng.uniform(-bound, bound, count) for name, bound in bounds.items()}


def played(env: NativeVectorEnv, states: dict[str, np.ndarray], actions: np.ndarray) -> EnvBuffers:
    """One step of every row from these states, in slot 1."""
    buffers = bound(env)
    put(env, **states)
    env.step(actions, 1)
    return buffers


def gymnasiums(
    theirs: gymnasium.Env, states: dict[str, np.ndarray], actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observation, reward and `terminated` that Gymnasium's own step gives from each state."""
    steps = []
    for state, action in zip(np.stack(list(states.values()), axis=1), actions, strict=True):
        theirs.state, theirs.steps_beyond_terminated = state, None
        steps.append(theirs.step(action)[:3])
    observation, reward, terminated = zip(*steps, strict=True)
    return np.array(observation), np.array(reward, np.float32), np.array(terminated)


def test_cartpole_transitions_are_gymnasiums() -> None:
    rng = np.random.default_rng(1)
    states = uniform(rng, x=1.1 * MAX_POSITION, x_speed=4.0, angle=1.3 * MAX_ANGLE, angle_speed=4.0)
    actions = rng.integers(0, 2, TRANSITIONS)
    buffers = played(CartPole.batch(TRANSITIONS), states, actions)
    expected, reward, terminated = gymnasiums(CartPoleEnv(), states, actions)

    np.testing.assert_allclose(next_observation(buffers), expected, rtol=3e-7, atol=1e-9)
    np.testing.assert_array_equal(buffers.reward[1], reward)
    np.testing.assert_array_equal(buffers.terminated[1], terminated)
    assert 0.1 < terminated.mean() < 0.9
    assert not buffers.truncated[1].any()


def test_pendulum_transitions_are_gymnasiums() -> None:
    rng = np.random.default_rng(2)
    states = uniform(rng, angle=30.0, speed=8.0)
    actions = rng.uniform(-3, 3, (TRANSITIONS, 1)).astype(np.float32)
    buffers = played(Pendulum.batch(TRANSITIONS), states, actions)
    expected, reward, _ = gymnasiums(PendulumEnv(), states, actions)

    np.testing.assert_allclose(buffers.observation[1], expected, rtol=3e-7, atol=1e-7)
    np.testing.assert_allclose(buffers.reward[1], reward, rtol=1e-6, atol=1e-7)
    assert not buffers.terminated[1].any()


def test_acrobot_transitions_are_gymnasiums() -> None:
    rng = np.random.default_rng(3)
    states = uniform(rng, FEWER, angle_1=math.pi, angle_2=math.pi, speed_1=MAX_SPEED_1, speed_2=MAX_SPEED_2)
    for speed in ("speed_1", "speed_2"):
        states[speed] *= rng.uniform(0, 1, FEWER) ** 2  # most slow, as in the game; some at the limit of speed
    actions = rng.integers(0, 3, FEWER)
    buffers = played(Acrobot.batch(FEWER), states, actions)
    expected, reward, terminated = gymnasiums(AcrobotEnv(), states, actions)

    np.testing.assert_allclose(next_observation(buffers), expected, rtol=3e-7, atol=1e-7)
    np.testing.assert_array_equal(buffers.reward[1], reward)
    np.testing.assert_array_equal(buffers.terminated[1], terminated)
    assert 0.1 < terminated.mean() < 0.9
    assert (np.abs(expected[:, 5]) == np.float32(MAX_SPEED_2)).any()


def car_states(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"position": rng.uniform(-1.2, 0.6, FEWER), "speed": rng.uniform(-0.07, 0.07, FEWER)}


@pytest.mark.parametrize("goal_velocity", [0.0, 0.03])
def test_mountain_car_transitions_are_gymnasiums(goal_velocity: float) -> None:
    rng = np.random.default_rng(4)
    states, actions = car_states(rng), rng.integers(0, 3, FEWER)
    buffers = played(MountainCar.batch(FEWER, goal_velocity=goal_velocity), states, actions)
    expected, reward, terminated = gymnasiums(MountainCarEnv(goal_velocity=goal_velocity), states, actions)

    np.testing.assert_allclose(next_observation(buffers), expected, rtol=3e-7, atol=1e-9)
    np.testing.assert_array_equal(buffers.reward[1], reward)
    np.testing.assert_array_equal(buffers.terminated[1], terminated)
    assert 0.01 < terminated.mean() < 0.9
    for hit in (expected[:, 0] == np.float32(-1.2), expected[:, 0] == np.float32(0.6)):
        assert hit.any()


@pytest.mark.parametrize("goal_velocity", [0.0, 0.03])
def test_continuous_mountain_car_transitions_are_gymnasiums(goal_velocity: float) -> None:
    """To float32 rounding: Gymnasium keeps this state, and computes, in float32."""
    rng = np.random.default_rng(5)
    states = {name: array.astype(np.float32) for name, array in car_states(rng).items()}
    actions = rng.uniform(-1.5, 1.5, (FEWER, 1)).astype(np.float32)
    buffers = played(MountainCarContinuous.batch(FEWER, goal_velocity=goal_velocity), states, actions)
    expected, reward, terminated = gymnasiums(Continuous_MountainCarEnv(goal_velocity=goal_velocity), states, actions)

    np.testing.assert_allclose(next_observation(buffers), expected, rtol=1e-6, atol=2e-8)
    beyond = expected[:, 0] - CONTINUOUS_GOAL
    border = (np.abs(beyond) < 1e-6) | ((beyond > 0) & (np.abs(expected[:, 1] - goal_velocity) < 1e-7))
    np.testing.assert_array_equal(buffers.terminated[1][~border], terminated[~border])
    np.testing.assert_allclose(buffers.reward[1][~border], reward[~border], rtol=1e-6, atol=1e-7)
    assert border.mean() < 1e-3
    assert 0.01 < terminated.mean() < 0.9


@pytest.mark.parametrize(
    ("env_class", "id"),
    [
        (CartPole, "CartPole-v1"),
        (Pendulum, "Pendulum-v1"),
        (Acrobot, "Acrobot-v1"),
        (MountainCar, "MountainCar-v0"),
        (MountainCarContinuous, "MountainCarContinuous-v0"),
    ],
)
def test_spaces_and_limits_are_gymnasiums(env_class: type, id: str) -> None:
    theirs, ours = gymnasium.make(id), env_class.batch(1).spec
    assert ours.observation.space == theirs.observation_space
    assert ours.action.space == theirs.action_space
    assert ours.max_episode_steps == theirs.spec.max_episode_steps


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


def swinging(observation: np.ndarray) -> int:
    return 2 if observation[-1] > 0 else 0


@pytest.mark.parametrize(
    ("env_class", "id", "fields"), [(Acrobot, "Acrobot-v1", ACROBOT), (MountainCar, "MountainCar-v0", CAR)]
)
def test_an_episode_of_swinging_up_is_gymnasiums_to_its_end(env_class: type, id: str, fields: tuple[str, ...]) -> None:
    theirs, env = gymnasium.make(id), env_class.batch(1)
    theirs.reset(seed=0)
    buffers = bound(env)
    state = np.array(theirs.unwrapped.state, np.float64)
    put(env, **{name: state[i : i + 1] for i, name in enumerate(fields)})
    expected, terminated, steps = theirs.unwrapped.state, False, 0
    while not terminated:
        action = swinging(np.asarray(expected))
        expected, reward, terminated, truncated, _ = theirs.step(action)
        env.step(np.array([action]), 1)
        np.testing.assert_allclose(next_observation(buffers)[0], expected, rtol=1e-5, atol=1e-5)
        assert (buffers.reward[1, 0], buffers.terminated[1, 0], buffers.truncated[1, 0]) == (reward, terminated, False)
        assert not truncated
        steps += 1
    assert steps > 50


def test_a_pendulum_episode_is_truncated_after_200_steps() -> None:
    env = Pendulum.batch(3)
    buffers = bound(env, slots=202)
    for slot in range(1, 202):
        env.step(np.zeros((3, 1), np.float32), slot)
    assert np.flatnonzero(buffers.truncated[:, 0]).tolist() == [200]
    assert not buffers.terminated.any()


def distance_from_uniform(sample: np.ndarray, low: float, high: float) -> float:
    """Kolmogorov and Smirnov's statistic against the uniform distribution on [low, high]."""
    expected = (np.sort(sample) - low) / (high - low)
    ranks = np.arange(len(sample) + 1) / len(sample)
    return float(max(np.abs(expected - ranks[1:]).max(), np.abs(expected - ranks[:-1]).max()))


@pytest.mark.parametrize(
    ("env_class", "bounds"),
    [
        (CartPole, dict.fromkeys(CARTPOLE, (-0.05, 0.05))),
        (Pendulum, {"angle": (-math.pi, math.pi), "speed": (-1.0, 1.0)}),
        (Acrobot, dict.fromkeys(ACROBOT, (-0.1, 0.1))),
        (MountainCar, {"position": (-0.6, -0.4)}),
        (MountainCarContinuous, {"position": (-0.6, -0.4)}),
    ],
)
def test_first_states_are_uniform_in_gymnasiums_ranges(env_class: type, bounds: dict[str, tuple[float, float]]) -> None:
    env = env_class.batch(20_000)
    bound(env)
    fields = env.snapshot()["fields"]
    one_in_a_thousand = 1.95 / math.sqrt(20_000)
    for name, (low, high) in bounds.items():
        assert distance_from_uniform(fields[name], low, high) < one_in_a_thousand
    names = list(bounds)
    for first, second in pairwise(names):
        assert abs(np.corrcoef(fields[first], fields[second])[0, 1]) < 0.03
    if "position" in bounds:
        assert (fields["speed"] == 0).all()


def test_cartpole_without_velocities_is_the_same_game_seen_less() -> None:
    whole, hidden = CartPole.batch(3), CartPole.batch(3, velocities=False)
    seen, left = bound(whole), bound(hidden)
    actions = np.array([0, 1, 1])
    whole.step(actions, 1)
    hidden.step(actions, 1)
    assert left.observation.shape == (2, 3, 2)
    np.testing.assert_array_equal(left.observation, seen.observation[:, :, [0, 2]])
    bounds = CartPole(velocities=False).observation_space.high
    np.testing.assert_allclose(bounds, [2 * MAX_POSITION, 2 * MAX_ANGLE], rtol=1e-6)
