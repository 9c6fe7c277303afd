"""What a batch of native envs does, compiled and as plain Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.errors import CheckpointError, EnvError, ShapeError, UsageError
from puffer_env_native import Float32, NativeEnv
from puffer_env_native.acrobot import Acrobot
from puffer_env_native.batch import NativeVectorEnv
from puffer_env_native.cartpole import CartPole
from puffer_env_native.gridworld import GridWorld, MaskedGridWorld
from puffer_env_native.mountain_car import MountainCar, MountainCarContinuous
from puffer_env_native.pendulum import Pendulum
from puffer_env_native.probes import ActionReward, ConstantReward, ObservationReward

SLOTS = 65
OUTPUTS = ("observation", "final_observation", "reward", "terminated", "truncated")
EVERY = [
    CartPole,
    Pendulum,
    Acrobot,
    MountainCar,
    MountainCarContinuous,
    GridWorld.variant({"size": 4, "scale": 1}),
    MaskedGridWorld.variant({"size": 3, "scale": 2}),
    ConstantReward,
    ObservationReward,
    ActionReward,
]


def actions(env: NativeVectorEnv) -> np.ndarray:
    """Random actions `[steps, rows, ...]`, for a row the same in batches of any size."""
    rng, rows, space = np.random.default_rng(5), env.spec.rows, env.spec.action.space
    if isinstance(space, Discrete):
        return rng.integers(0, space.n, (SLOTS - 1, 100))[:, :rows]
    return rng.uniform(-2, 2, (SLOTS - 1, 100, *space.shape)).astype(np.float32)[:, :rows]


def rolled(env: NativeVectorEnv, seed: int = 3) -> EnvBuffers:
    buffers = EnvBuffers.allocate(env.spec, SLOTS)
    env.bind(buffers)
    env.reset(seed)
    for slot, action in enumerate(actions(env), start=1):
        assert list(env.step(action, slot)) == []
    env.close()
    return buffers


def assert_same(first: EnvBuffers, second: EnvBuffers, rows: slice = slice(None)) -> None:
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(first, name)[:, rows], getattr(second, name), err_msg=name)


@pytest.mark.parametrize("env_class", EVERY)
def test_compiled_equals_the_source_as_it_is_written(env_class: type[NativeEnv]) -> None:
    compiled, source = (rolled(env_class.batch(37, compiled=compiled)) for compiled in (True, False))
    for name in ("reward", "terminated", "truncated", "action_mask"):
        np.testing.assert_array_equal(getattr(compiled, name), getattr(source, name))
    exact = compiled.observation.dtype.kind != "f"
    for name in ("observation", "final_observation"):
        rounding = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(getattr(compiled, name), getattr(source, name), **rounding)


@pytest.mark.parametrize("env_class", EVERY)
def test_parts_play_what_the_whole_plays(env_class: type[NativeEnv]) -> None:
    whole, part = env_class.batch(37), env_class.batch(9)
    moves = actions(whole)
    here, there = EnvBuffers.allocate(whole.spec, SLOTS), EnvBuffers.allocate(part.spec, SLOTS)
    whole.bind(here)
    part.bind(there)
    whole.reset(3)
    part.reset(3, first=11)
    for slot, action in enumerate(moves, start=1):
        whole.step(action, slot)
        part.step(action[11:20], slot)
    for name in ("observation", "reward", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(here, name)[:, 11:20], getattr(there, name), err_msg=name)


@pytest.mark.parametrize("threads", [2, 3, 50])
@pytest.mark.parametrize("env_class", [CartPole, Pendulum, Acrobot, MountainCar, MountainCarContinuous, EVERY[5]])
def test_threads_change_nothing(env_class: type[NativeEnv], threads: int) -> None:
    assert_same(rolled(env_class.batch(37)), rolled(env_class.batch(37, threads=threads)))


def test_a_row_is_the_same_in_a_smaller_batch() -> None:
    assert_same(rolled(CartPole.batch(37)), rolled(CartPole.batch(11)), slice(11))


def test_another_seed_gives_other_episodes() -> None:
    first, second = rolled(CartPole.batch(4), seed=1), rolled(CartPole.batch(4), seed=2)
    assert (first.observation[0] != second.observation[0]).all()


def test_it_is_a_vector_env() -> None:
    env = CartPole.batch(3, max_episode_steps=7)
    assert isinstance(env, VectorEnv)
    assert (env.spec.rows, env.spec.snapshot, env.spec.max_episode_steps) == (3, True, 7)


@pytest.mark.parametrize("compiled", [True, False])
def test_an_ended_row_shows_the_next_episode_and_keeps_the_last_observation(compiled: bool) -> None:
    buffers = rolled(CartPole.batch(5, compiled=compiled))
    ended = buffers.terminated | buffers.truncated
    assert ended.any()
    assert (np.abs(buffers.observation[ended]) <= 0.05).all()
    final = buffers.final_observation[buffers.terminated]
    assert ((np.abs(final[:, 0]) > 2.4) | (np.abs(final[:, 2]) > 12 * 2 * np.pi / 360)).all()
    assert (buffers.reward[1:] == 1).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_the_time_limit_truncates_and_counts_anew(compiled: bool) -> None:
    env = Pendulum.batch(2, max_episode_steps=5, compiled=compiled)
    buffers = rolled(env)
    assert np.flatnonzero(buffers.truncated[:, 1]).tolist() == list(range(5, SLOTS, 5))


def test_a_limit_of_zero_is_none() -> None:
    env = Pendulum.batch(1, max_episode_steps=0)
    assert env.spec.max_episode_steps is None
    assert not rolled(env).truncated.any()


def test_an_option_changes_the_game_for_every_row() -> None:
    earth, moon = rolled(CartPole.batch(4)), rolled(CartPole.batch(4, gravity=1.6))
    assert (earth.observation[0] == moon.observation[0]).all()
    assert (earth.observation[1] != moon.observation[1]).any(axis=1).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_writes_its_slot_and_its_rows_and_nothing_else(compiled: bool) -> None:
    env = CartPole.batch(4, compiled=compiled)
    whole = EnvBuffers.allocate(replace_rows(env, 12), 4)
    for name in OUTPUTS:
        getattr(whole, name)[...] = 1
    env.bind(whole.part(slice(5, 9), slice(5, 9)))
    env.reset(0)
    before = {name: getattr(whole, name).copy() for name in OUTPUTS}
    env.step(np.array([0, 1, 0, 1]), 2)
    for name, array in before.items():
        array[2, 5:9] = getattr(whole, name)[2, 5:9]
        np.testing.assert_array_equal(getattr(whole, name), array)
    assert (whole.observation[2, 5:9] != 1).any()
    assert not whole.terminated[2, 5:9].any()


def replace_rows(env: NativeVectorEnv, rows: int) -> Any:
    return replace(env.spec, num_envs=rows, row_env=np.arange(rows), row_group=np.zeros(rows, np.int64))


def test_a_snapshot_goes_on_bit_for_bit_in_another_env() -> None:
    env, other = CartPole.batch(6), CartPole.batch(6)
    first, second = EnvBuffers.allocate(env.spec, SLOTS), EnvBuffers.allocate(env.spec, SLOTS)
    env.bind(first)
    other.bind(second)
    env.reset(1)
    other.reset(2)
    moves = actions(env)
    for slot in range(1, 33):
        env.step(moves[slot - 1], slot)
    state = env.snapshot()
    for slot in range(33, SLOTS):
        env.step(moves[slot - 1], slot)
    other.restore(state)
    for slot in range(33, SLOTS):
        other.send(moves[slot - 1], slot)
        other.recv()
    assert (first.terminated[33:] | first.truncated[33:]).any()
    for name in ("observation", "reward", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(first, name)[33:], getattr(second, name)[33:])


def test_a_snapshot_that_does_not_fit_changes_nothing() -> None:
    env = CartPole.batch(2)
    rolled(env)
    before = env.snapshot()
    wrong = env.snapshot()
    wrong["fields"]["x"] = np.zeros(3)
    with pytest.raises(CheckpointError, match=r"field x of the snapshot is float64\(3,\), expected float64\(2,\)"):
        env.restore(wrong)
    del wrong["fields"]["x"]
    with pytest.raises(CheckpointError, match="field x of the snapshot is none"):
        env.restore(wrong)
    for name, array in before["fields"].items():
        np.testing.assert_array_equal(env.snapshot()["fields"][name], array)


@pytest.mark.parametrize("options", [{"compiled": True}, {"compiled": False}, {"threads": 2}])
@pytest.mark.parametrize("wrong", [2, -1])
def test_an_action_outside_its_space_is_named_and_nothing_steps(options: dict[str, Any], wrong: int) -> None:
    env = CartPole.batch(4, **options)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(0)
    before = env.snapshot()
    with pytest.raises(UsageError, match=rf"the action of env 3 is {wrong}, expected one of Discrete\(2\)"):
        env.step(np.array([0, 1, 0, wrong]), 1)
    for name, array in env.snapshot()["fields"].items():
        np.testing.assert_array_equal(array, before["fields"][name])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_nan_in_a_box_action_is_named(compiled: bool) -> None:
    env = Pendulum.batch(2, compiled=compiled)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(0)
    with pytest.raises(UsageError, match=r"the action of env 1 is \[nan\]"):
        env.step(np.array([[0.0], [np.nan]], np.float32), 1)


def test_actions_of_another_shape_and_slots_that_are_not_bound_are_refused() -> None:
    env = CartPole.batch(4)
    with pytest.raises(ShapeError, match=r"slot is 1, expected 1\.\.0, as bound"):
        env.step(np.zeros(4, np.int64), 1)
    env.bind(EnvBuffers.allocate(env.spec, 3))
    env.reset(0)
    with pytest.raises(ShapeError, match=r"actions are \(3,\), expected \(4,\)"):
        env.step(np.zeros(3, np.int64), 1)
    for slot in (0, 3, -1):
        with pytest.raises(ShapeError, match=rf"slot is {slot}, expected 1\.\.2"):
            env.step(np.zeros(4, np.int64), slot)


def test_buffers_that_do_not_fit_are_refused() -> None:
    env = CartPole.batch(4)
    buffers = EnvBuffers.allocate(env.spec, 3)
    with pytest.raises(ShapeError, match=r"buffer observation is float32\(3, 2, 4\)"):
        env.bind(buffers.part(slice(0, 2), slice(0, 2)))
    with pytest.raises(ShapeError, match="buffer reward has rows that are not contiguous"):
        env.bind(replace(buffers, reward=np.zeros((3, 8), np.float32)[:, ::2]))
    with pytest.raises(ShapeError, match="buffer observation has rows that are not contiguous"):
        env.bind(replace(buffers, observation=np.zeros((3, 4, 8), np.float32)[:, :, ::2]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0, expected an integer >= 1"),
        ({"num_envs": 2, "threads": -1}, "threads is -1"),
        ({"num_envs": 2, "max_episode_steps": -5}, "max_episode_steps is -5"),
        ({"num_envs": 2, "gravitiy": 1.0}, "no option 'gravitiy'\nDid you mean gravity?"),
        ({"num_envs": 2, "gravity": "strong"}, "env.gravity: got 'strong', expected a number"),
    ],
)
def test_bad_options_are_usage_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        CartPole.batch(**options)
    assert message in str(caught.value)


def test_a_negative_seed_is_a_usage_error() -> None:
    env = CartPole.batch(1)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    with pytest.raises(UsageError, match="seed is -1"):
        env.reset(-1)


class Fragile(NativeEnv):
    observation_space = Box(-1.0, 1.0, (1,))
    action_space = Discrete(3)

    breaks_at: Float32 = 2.0

    def reset(self) -> None:
        if self.breaks_at < 0:
            raise RuntimeError("never starts")

    def step(self, action: int) -> tuple[float, bool]:
        if action == self.breaks_at:
            raise RuntimeError("broken")
        return 0.0, False

    def observe(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compiled": False}, "env 2 raised in step: RuntimeError: broken"),
        ({"compiled": True}, "env 2 raised in step: compiled code does not say what\nwith compiled=False"),
        ({"compiled": True, "threads": 4}, "env 2 raised in step"),
    ],
)
def test_an_env_that_raises_is_named(options: dict[str, Any], message: str) -> None:
    env = Fragile.batch(4, **options)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(0)
    with pytest.raises(EnvError) as caught:
        env.step(np.array([0, 1, 2, 0]), 1)
    assert message in str(caught.value)


@pytest.mark.parametrize("compiled", [True, False])
def test_an_env_that_raises_in_reset_is_named(compiled: bool) -> None:
    env = Fragile.batch(4, compiled=compiled, breaks_at=-1.0)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    with pytest.raises(EnvError, match="env 0 raised in reset"):
        env.reset(0)


class Switches(NativeEnv):
    """Shows what it was told: several elements, several types, another first choice than 0."""

    observation_space = Box(0, 255, (2, 2), np.uint8)
    action_space = MultiDiscrete([3, 5], start=[1, 0])

    first: int
    second: int

    def reset(self) -> None:
        self.first = 0
        self.second = self.integer(10, 20)

    def step(self, action: tuple[int, int]) -> tuple[float, bool]:
        self.first, self.second = action
        return float(self.first * self.second), False

    def observe(self) -> tuple[int, int, int, int]:
        return self.first, self.second, self.elapsed, 7


@pytest.mark.parametrize("compiled", [True, False])
def test_several_elements_of_action_and_observation(compiled: bool) -> None:
    env = Switches.batch(2, compiled=compiled)
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(0)
    assert ((buffers.observation[0, :, 0, 1] >= 10) & (buffers.observation[0, :, 0, 1] < 20)).all()
    env.step(np.array([[1, 4], [3, 2]]), 1)
    assert buffers.observation[1].tolist() == [[[1, 4], [1, 7]], [[3, 2], [1, 7]]]
    assert buffers.reward[1].tolist() == [4.0, 6.0]
    with pytest.raises(UsageError, match=r"the action of env 0 is \[0 0\]"):
        env.step(np.array([[0, 0], [3, 2]]), 1)


class Buttons(NativeEnv):
    observation_space = MultiBinary(2)
    action_space = MultiBinary(2)

    lit: bool

    def reset(self) -> None:
        self.lit = False

    def step(self, action: tuple[int, int]) -> tuple[float, bool]:
        self.lit = action[0] == 1 and action[1] == 1
        return 0.0, self.lit

    def observe(self) -> tuple[bool, bool]:
        return self.lit, not self.lit


@pytest.mark.parametrize("compiled", [True, False])
def test_binary_spaces_and_flags(compiled: bool) -> None:
    env = Buttons.batch(2, compiled=compiled)
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(0)
    env.step(np.array([[1, 1], [1, 0]], np.int8), 1)
    assert buffers.final_observation[1, 0].tolist() == [1, 0]
    assert buffers.observation[1].tolist() == [[0, 1], [0, 1]]
    assert buffers.terminated[1].tolist() == [True, False]
