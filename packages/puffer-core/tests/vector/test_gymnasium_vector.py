"""Gymnasium's vector envs: the same rows as serial mode in every autoreset mode, and what is told where they fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from puffer_core.contracts.env import EnvBuffers, RenderingEnv
from puffer_core.errors import EnvError, ShapeError, UnsupportedError, UsageError
from puffer_core.vector import SerialVectorEnv
from puffer_core.vector.gymnasium import make_batch
from puffer_core.vector.gymnasium_vector import GymnasiumVectorEnv
from puffer_testing import EnvConformance

NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
ENVS, STEPS = 3, 60


class Corridor(gymnasium.Env[Any, Any]):
    """A walk of random length, with nested spaces, masks, infos, and an observation that is written again and again."""

    def __init__(self, *, mask_in: str = "info") -> None:
        parts: dict[str, Any] = {
            "room": spaces.Discrete(9, start=2),
            "seen": spaces.Tuple([spaces.Box(-1, 1, (2,), np.float32), spaces.MultiDiscrete([3, 4], start=[1, 0])]),
        }
        self._mask_in = mask_in
        if mask_in == "observation":
            parts["action_mask"] = spaces.Box(0, 1, (5,), np.int8)
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Dict(walk=spaces.Discrete(3, start=-1), wave=spaces.Discrete(2))
        self._box = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._room, self._steps = int(self.np_random.integers(9)), 0
        return self._look(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action["walk"] in (-1, 0, 1)
        self._steps += 1
        self._room = int((self._room + action["walk"] + self.np_random.integers(2)) % 9)
        info = self._info() | ({"waved": self._steps} if action["wave"] else {})
        return self._look(), self._room / 8, self._room == 8, self._steps >= 7, info

    def _look(self) -> dict[str, Any]:
        self._box[:] = self.np_random.uniform(-1, 1, 2)
        seen = (self._box, np.array([1 + self._room % 3, self._steps % 4]))
        mask = {"action_mask": self._mask()} if self._mask_in == "observation" else {}
        return {"room": self._room + 2, "seen": seen, **mask}

    def _mask(self) -> np.ndarray[Any, Any]:
        return np.array([self._room > 0, 1, self._room < 8, 1, self._steps % 2], np.int8)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._mask()} if self._mask_in == "info" else {}


def cartpole() -> gymnasium.Env[Any, Any]:
    return gymnasium.make("CartPole-v1", max_episode_steps=15)


def corridor() -> gymnasium.Env[Any, Any]:
    return Corridor()


def corridor_that_shows_its_mask() -> gymnasium.Env[Any, Any]:
    return Corridor(mask_in="observation")


def choose(env: Any, t: int) -> np.ndarray[Any, Any]:
    """Actions that depend on the step alone."""
    rng = np.random.default_rng(t)
    action = env.spec.action
    if not action.is_nested:
        return rng.integers(0, 2, env.spec.rows)
    parts = {"walk": rng.integers(-1, 2, env.spec.rows), "wave": rng.integers(0, 2, env.spec.rows)}
    joined: np.ndarray[Any, Any] = action.join(parts)
    return joined


class TestSync(EnvConformance):
    steps = 60

    def make(self, num_envs: int) -> Any:
        return GymnasiumVectorEnv(lambda: SyncVectorEnv([cartpole] * num_envs), num_envs, id="mine")


class TestBatch(EnvConformance):
    """Gymnasium's own CartPole: one generator for all rows, and resetting takes a step."""

    steps = 60
    lossy = True

    test_a_row_plays_the_same_whatever_the_number_of_envs = None  # type: ignore[assignment]
    test_a_part_of_a_batch_plays_what_the_whole_plays_there = None  # type: ignore[assignment]
    test_an_ended_episode_leaves_its_last_observation_and_begins_anew = None  # type: ignore[assignment]

    def make(self, num_envs: int) -> Any:
        make = partial(make_batch, num_envs, gymnasium_id="CartPole-v1", max_episode_steps=15)
        return GymnasiumVectorEnv(make, num_envs, id="mine")


def play(env: Any, steps: int = STEPS) -> tuple[EnvBuffers, list[Any]]:
    """Slots and infos of some steps; the env is closed."""
    with closing(env):
        slots = EnvBuffers.allocate(env.spec, steps + 1)
        env.bind(slots)
        env.reset(seed=5, first=2)
        infos = [list(env.step(choose(env, t), t)) for t in range(1, steps + 1)]
    return slots, infos


def bare(kind: Any, make: Callable[[], Any], mode: AutoresetMode) -> GymnasiumVectorEnv:
    return GymnasiumVectorEnv(lambda: kind([make] * ENVS, autoreset_mode=mode), ENVS, id="mine")


def wrapped(kind: Any, make: Callable[[], Any], mode: AutoresetMode) -> GymnasiumVectorEnv:
    return GymnasiumVectorEnv(lambda: VectorWrapper(kind([make] * ENVS, autoreset_mode=mode)), ENVS, id="mine")


def assert_equal(one: EnvBuffers, other: EnvBuffers) -> None:
    for name in ("observation", "reward", "terminated", "truncated", "active", "action_mask"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    done = one.terminated | one.truncated
    assert done.sum() > ENVS
    assert np.array_equal(one.final_observation[done], other.final_observation[done])


@pytest.mark.parametrize("make", [cartpole, corridor, corridor_that_shows_its_mask])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_sync_vector_env_gives_the_rows_of_serial_mode(make: Callable[[], Any], mode: AutoresetMode) -> None:
    serial, said = play(SerialVectorEnv(make, ENVS, id="mine"))
    rows, infos = play(bare(SyncVectorEnv, make, mode))
    assert_equal(serial, rows)
    assert [[(row, info.get("waved")) for row, info in step] for step in infos] == [
        [(row, info.get("waved")) for row, info in step] for step in said
    ]


@pytest.mark.parametrize("mode", [SAME, DISABLED])
def test_so_does_one_inside_a_wrapper(mode: AutoresetMode) -> None:
    assert_equal(play(SerialVectorEnv(cartpole, ENVS, id="mine"))[0], play(wrapped(SyncVectorEnv, cartpole, mode))[0])


@pytest.mark.parametrize("mode", AutoresetMode)
def test_and_an_async_vector_env(mode: AutoresetMode) -> None:
    assert_equal(play(SerialVectorEnv(cartpole, ENVS, id="mine"))[0], play(bare(AsyncVectorEnv, cartpole, mode))[0])


def test_infos_of_the_last_step_are_kept_where_rows_begin_anew_in_the_same_step() -> None:
    serial, said = play(SerialVectorEnv(corridor, ENVS, id="mine"))
    _, infos = play(wrapped(SyncVectorEnv, corridor, SAME))
    assert [[(row, info.get("waved")) for row, info in step] for step in infos] == [
        [(row, info.get("waved")) for row, info in step] for step in said
    ]
    ends = {(t - 1, row) for t, row in np.argwhere(serial.terminated | serial.truncated).tolist()}
    assert any((t, row) in ends and "waved" in info for t, step in enumerate(infos) for row, info in step)


class Steady:
    """Acts by what it sees, so that a row's episodes do not depend on the steps that it waits."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def play(self) -> list[list[tuple[Any, ...]]]:
        with closing(self.env):
            slots = EnvBuffers.allocate(self.env.spec, STEPS + 1)
            self.env.bind(slots)
            self.env.reset(seed=0)
            for t in range(1, STEPS + 1):
                action = (slots.observation[t - 1].sum(axis=1) > 0).astype(np.int64)
                self.env.step(action, t)
        return [self._transitions(slots, row) for row in range(ENVS)]

    def _transitions(self, slots: EnvBuffers, row: int) -> list[tuple[Any, ...]]:
        """What counts of one row: observation, reward, flags and the observation that followed in the episode."""
        found = []
        for t in np.flatnonzero(slots.active[:-1, row]):
            over = slots.terminated[t + 1, row] or slots.truncated[t + 1, row]
            after = (slots.final_observation if over else slots.observation)[t + 1, row]
            flags = (slots.reward[t + 1, row], slots.terminated[t + 1, row], slots.truncated[t + 1, row])
            found.append((slots.observation[t, row].tobytes(), *flags, after.tobytes()))
        return found


def test_where_resetting_takes_a_step_of_its_own_that_step_does_not_count() -> None:
    serial = Steady(SerialVectorEnv(cartpole, ENVS, id="mine")).play()
    for row, found in enumerate(Steady(wrapped(SyncVectorEnv, cartpole, NEXT)).play()):
        assert STEPS // 2 < len(found) < STEPS
        assert found == serial[row][: len(found)]


@pytest.fixture
def slow() -> Iterator[tuple[GymnasiumVectorEnv, EnvBuffers]]:
    env = wrapped(SyncVectorEnv, corridor, NEXT)
    slots = EnvBuffers.allocate(env.spec, STEPS + 1)
    env.bind(slots)
    env.reset(seed=0)
    with closing(env):
        yield env, slots


def test_the_waiting_row_repeats_its_last_observation_and_may_do_anything(
    slow: tuple[GymnasiumVectorEnv, EnvBuffers],
) -> None:
    env, slots = slow
    for t in range(1, STEPS + 1):
        env.step(choose(env, t), t)
    done = slots.terminated | slots.truncated
    assert np.array_equal(slots.active, ~done)
    assert np.array_equal(slots.observation[done], slots.final_observation[done])
    assert slots.action_mask is not None
    assert slots.action_mask[done].all()
    after = np.roll(done, 1, axis=0)
    assert not done[after].any()
    assert not slots.reward[after].any()


def test_a_reset_ends_the_waiting(slow: tuple[GymnasiumVectorEnv, EnvBuffers]) -> None:
    env, slots = slow
    t = 0
    while t == 0 or slots.active[t].all():
        t += 1
        env.step(choose(env, t), t)
    env.reset(seed=0)
    assert slots.active[0].all()
    env.step(choose(env, 1), 1)
    assert not env._over.any() or slots.terminated[1].any()


def test_the_vectorised_cartpole_moves_as_the_single_one_from_equal_states() -> None:
    batch: Any = make_batch(4, gymnasium_id="CartPole-v1")
    singles: list[Any] = [gymnasium.make("CartPole-v1").unwrapped for _ in range(4)]
    env = GymnasiumVectorEnv(lambda: batch, 4, id="CartPole-v1")
    slots = EnvBuffers.allocate(env.spec, 200)
    env.bind(slots)
    env.reset(seed=1)
    for i, single in enumerate(singles):
        single.reset(seed=0)
        single.state = batch.state[:, i].copy()
    rng = np.random.default_rng(0)
    ended = 0
    for t in range(1, 200):
        action = rng.integers(0, 2, 4)
        env.step(action, t)
        for i, single in enumerate(singles):
            if not slots.active[t - 1, i]:
                single.reset(seed=0)
                single.state = batch.state[:, i].copy()
                continue
            observation, reward, terminated, _, _ = single.step(int(action[i]))
            np.testing.assert_allclose(slots.observation[t, i], observation, rtol=1e-5, atol=1e-7)
            assert (slots.reward[t, i], slots.terminated[t, i]) == (reward, terminated)
            ended += terminated
    assert ended > 4
    env.close()


def test_a_batch_with_one_generator_is_the_same_every_time_and_says_its_time_limit() -> None:
    def make() -> GymnasiumVectorEnv:
        return GymnasiumVectorEnv(lambda: make_batch(3, gymnasium_id="CartPole-v1", max_episode_steps=20), 3, id="c")

    assert make().spec.max_episode_steps == 20
    one, other = play(make())[0], play(make())[0]
    assert np.array_equal(one.observation, other.observation)
    assert np.array_equal(one.active, other.active)


def test_rows_of_a_part_are_those_of_the_whole() -> None:
    def first_observations(first: int, num_envs: int) -> Any:
        env = GymnasiumVectorEnv(lambda: SyncVectorEnv([cartpole] * num_envs), num_envs, id="mine")
        with closing(env):
            slots = EnvBuffers.allocate(env.spec, 2)
            env.bind(slots)
            env.reset(seed=3, first=first)
            return slots.observation[0]

    assert np.array_equal(first_observations(0, 4)[2:], first_observations(2, 2))


class Broken(VectorWrapper):
    """A vector env of which one thing is wrong."""

    def __init__(self, *, mode: AutoresetMode = DISABLED, **changes: Callable[..., Any]) -> None:
        super().__init__(SyncVectorEnv([cartpole] * ENVS, autoreset_mode=mode))
        self._changes = changes

    def reset(self, **given: Any) -> Any:
        observation, info = super().reset(**given)
        return self._changes.get("reset", lambda *outcome: outcome)(observation, info)

    def step(self, actions: Any) -> Any:
        return self._changes.get("step", lambda *outcome: outcome)(*super().step(actions))


def with_nan(observation: Any, *rest: Any) -> Any:
    observation[1, 2] = np.nan
    return (observation, *rest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_nan,
            r"environment 1 of 3 failed in step, seed \d+: the observation holds NaN: \[.*nan",
        ),
        (lambda o, *rest: (o[:, :3], *rest), "environment 0 of 3 .* got float32 array of shape .3,., expected float32"),
        (lambda o, *rest: (o[:2], *rest), r"a batch of 3 failed .* got float32 array of shape \(2, 4\), expected"),
        (lambda o, *rest: (None, *rest), "a batch of 3 .* does not fit its space: got"),
        (lambda o, r, *rest: (o, r[:1], *rest), r"the rewards are a float64 array of shape \(1,\), expected 3 numbers"),
        (lambda o, r, *rest: (o, r * np.nan, *rest), "environment 0 of 3 .* the reward is NaN"),
        (lambda *outcome: outcome[:4], "step gave 4 values, expected observation, reward, terminated"),
        (lambda *outcome: 7, "step gave 7, expected observation"),
        (lambda *outcome: 1 / 0, "a batch of 3 failed in step, seed .*: ZeroDivisionError: division by zero"),
        (lambda *outcome: exec("raise SystemExit(3)"), "SystemExit: 3"),
    ],
)
def test_what_breaks_the_spaces_is_told_as_in_serial_mode(change: Callable[..., Any], message: str) -> None:
    env = GymnasiumVectorEnv(lambda: Broken(step=change), ENVS, id="mine")
    with closing(env):
        env.bind(EnvBuffers.allocate(env.spec, 2))
        env.reset(seed=0)
        with pytest.raises(EnvError, match=message):
            env.step(choose(env, 1), 1)


def test_a_reset_that_gives_something_else_is_refused() -> None:
    with pytest.raises(EnvError, match="failed in reset: reset gave 3, expected"):
        GymnasiumVectorEnv(lambda: Broken(reset=lambda *outcome: 3), ENVS, id="mine")


def test_an_episode_whose_last_observation_is_lost_is_an_error() -> None:
    def forget(*outcome: Any) -> Any:
        outcome[4].pop("final_obs", None)
        return outcome

    with pytest.raises(EnvError, match=r"environment \d of 3 .* info\['final_obs'\] is missing"):
        play(GymnasiumVectorEnv(lambda: Broken(mode=SAME, step=forget), ENVS, id="mine"))


def test_last_observations_may_come_as_one_batch() -> None:
    def join(*outcome: Any) -> Any:
        if "final_obs" in outcome[4]:
            last = outcome[4]["final_obs"]
            outcome[4]["final_obs"] = np.stack([np.zeros(4, np.float32) if own is None else own for own in last])
        return outcome

    serial, _ = play(SerialVectorEnv(cartpole, ENVS, id="mine"))
    rows, _ = play(GymnasiumVectorEnv(lambda: Broken(mode=SAME, step=join), ENVS, id="mine"))
    assert_equal(serial, rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SyncVectorEnv([cartpole] * 2), "the vector env has 2 environments, expected 3"),
        (lambda: cartpole(), "expected a gymnasium.vector.VectorEnv"),
        (lambda: 1 / 0, "failed in init: ZeroDivisionError"),
    ],
)
def test_what_is_no_such_batch_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(EnvError, match=message):
        GymnasiumVectorEnv(make, ENVS, id="mine")


def test_a_batch_that_does_not_say_its_autoreset_mode_is_refused() -> None:
    def make() -> Any:
        env = VectorWrapper(SyncVectorEnv([cartpole] * ENVS))
        env.metadata = {}
        return env

    with pytest.raises(
        EnvError, match=r"metadata\['autoreset_mode'\] of VectorWrapper is None, expected one of"
    ) as caught:
        GymnasiumVectorEnv(make, ENVS, id="mine")
    assert "NEXT_STEP" in str(caught.value)


def test_statistics_that_gymnasium_records_do_no_harm() -> None:
    def make() -> VectorEnv[Any, Any, Any]:
        return RecordEpisodeStatistics(SyncVectorEnv([cartpole] * ENVS, autoreset_mode=SAME))

    _, infos = play(GymnasiumVectorEnv(make, ENVS, id="mine"))
    lengths = {int(info["episode"]["l"]) for step in infos for _, info in step if "episode" in info}
    assert lengths
    assert max(lengths) <= 15


def test_misuse_is_an_error() -> None:
    env = bare(SyncVectorEnv, cartpole, DISABLED)
    with pytest.raises(UsageError, match="before bind"):
        env.reset(seed=0)
    with pytest.raises(ShapeError, match="has 3 rows, the buffers have 2"):
        env.bind(EnvBuffers.allocate(env.spec, 2).part(slice(0, 2), slice(0, 2)))
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(seed=0)
    with pytest.raises(ShapeError, match=r"slot is 2, expected 1\.\.1"):
        env.step(choose(env, 1), 2)
    with pytest.raises(ShapeError, match="got actions float32"):
        env.step(np.zeros(3, np.float32), 1)
    with pytest.raises(UsageError, match="recv without a send"):
        env.recv()
    for method in (env.snapshot, lambda: env.restore({})):
        with pytest.raises(UnsupportedError, match=r"spec\.snapshot is False"):
            method()
    env.close()
    env.close()
    with pytest.raises(UsageError, match="after close"):
        env.reset(seed=0)


def test_environment_0_can_be_seen() -> None:
    def make() -> VectorEnv[Any, Any, Any]:
        return make_batch(2, gymnasium_id="CartPole-v1", render_mode="rgb_array")

    env = GymnasiumVectorEnv(make, 2, id="mine")
    assert isinstance(env, RenderingEnv)
    with closing(env):
        env.bind(EnvBuffers.allocate(env.spec, 2))
        env.reset(seed=0)
        assert env.render().shape[2] == 3
    blind = bare(SyncVectorEnv, cartpole, DISABLED)
    with closing(blind), pytest.raises(UnsupportedError, match="gives no picture"):
        blind.render()


def test_a_dead_worker_of_gymnasiums_is_an_error_and_closing_does_not_wait_for_it() -> None:
    env = bare(AsyncVectorEnv, cartpole, DISABLED)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(seed=0)
    process = env._env.processes[0]  # type: ignore[union-attr]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(EnvError, match="a batch of 3 failed in step"):
        env.step(choose(env, 1), 1)
    env.close()
