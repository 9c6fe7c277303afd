"""Serial mode: bit for bit a loop over Gymnasium, and errors that name the environment at fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.errors import EnvError, ShapeError, UnsupportedError, UsageError
from puffer_core.vector.seeding import environment_seed
from puffer_core.vector.serial import SerialVectorEnv

BOX = spaces.Box(-10, 10, (2,))


class Scripted(gymnasium.Env[Any, Any]):
    """Counts its steps; what it does beside is given by `at`: phase or step number to a function or a result."""

    def __init__(self, at: dict[Any, Any] | None = None, observation: Any = BOX, action: Any = None) -> None:
        self.observation_space = observation
        self.action_space = action or spaces.Discrete(2)
        self.at = at or {}
        self.count = 0
        self.closed = 0
        self.actions: list[Any] = []
        self._say("init")

    def _say(self, when: Any, default: Any = None) -> Any:
        answer = self.at.get(when, default)
        return answer() if callable(answer) else answer

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        return self._say("reset", (np.zeros(2, np.float32), {}))  # type: ignore[no-any-return]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        self.actions.append(action)
        outcome = (np.full(2, self.count, np.float32), float(self.count), False, False, {})
        return self._say(self.count, outcome)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed += 1
        self._say("close")


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


def built(*envs: gymnasium.Env[Any, Any], slots: int = 4) -> tuple[SerialVectorEnv, EnvBuffers]:
    waiting = list(envs)
    env = SerialVectorEnv(lambda: waiting.pop(0), len(envs), id="test")
    buffers = EnvBuffers.allocate(env.spec, slots)
    env.bind(buffers)
    return env, buffers


# --- trajectories ---


@pytest.mark.parametrize(
    ("id", "options"), [("CartPole-v1", {}), ("Pendulum-v1", {"max_episode_steps": 40}), ("FrozenLake-v1", {})]
)
def test_it_plays_what_a_plain_loop_plays_to_the_bit(id: str, options: dict[str, Any]) -> None:
    rows, steps = 3, 120
    env = SerialVectorEnv(lambda: gymnasium.make(id, **options), rows, id=id)
    buffers = EnvBuffers.allocate(env.spec, steps + 1)
    env.bind(buffers)
    env.reset(seed=5)
    space = env.spec.action.space
    space.seed(0)
    actions = np.array([[space.sample() for _ in range(rows)] for _ in range(steps)])
    for t in range(steps):
        env.step(actions[t], t + 1)
    env.close()

    ends = 0
    for row in range(rows):
        plain = gymnasium.make(id, **options)
        observation, _ = plain.reset(seed=environment_seed(5, row))
        for t in range(steps):
            assert same(buffers.observation[t, row], observation)
            observation, reward, terminated, truncated, _ = plain.step(actions[t, row])
            assert same(buffers.reward[t + 1, row], np.float32(reward))
            assert (buffers.terminated[t + 1, row], buffers.truncated[t + 1, row]) == (terminated, truncated)
            if terminated or truncated:
                ends += 1
                assert same(buffers.final_observation[t + 1, row], observation)
                observation, _ = plain.reset()
        plain.close()
    assert ends > 2


def same(one: Any, other: Any) -> bool:
    return np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_it_is_a_vector_env_and_says_what_it_is_made_of() -> None:
    env = SerialVectorEnv(lambda: gymnasium.make("Pendulum-v1"), 2, id="Pendulum-v1")
    assert isinstance(env, VectorEnv)
    assert (env.spec.rows, env.spec.max_episode_steps, env.spec.snapshot) == (2, 200, False)
    with pytest.raises(UnsupportedError, match="cannot give its state"):
        env.snapshot()
    with pytest.raises(UnsupportedError, match="PendulumEnv has no get_state and set_state"):
        env.restore({})
    env.close()


def test_an_episode_can_end_both_ways_at_once() -> None:
    end = (np.full(2, 9.0, np.float32), 1.0, True, True, {})
    env, buffers = built(Scripted({1: end}), Scripted())
    env.reset(0)
    env.step(np.array([0, 0]), 1)
    assert buffers.terminated[1].tolist() == buffers.truncated[1].tolist() == [True, False]
    assert buffers.final_observation[1, 0].tolist() == [9.0, 9.0]
    assert buffers.observation[1].tolist() == [[0.0, 0.0], [1.0, 1.0]]
    env.step(np.array([0, 0]), 1)
    assert not buffers.terminated[1, 1]


def test_infos_are_those_of_the_rows_that_have_any() -> None:
    env, _ = built(Scripted(), Scripted({1: (np.zeros(2, np.float32), 0.0, True, False, {"won": True})}))
    env.reset(0)
    assert env.step(np.array([0, 0]), 1) == [(1, {"won": True})]
    assert env.step(np.array([0, 0]), 2) == [(1, {"won": True})]


def test_a_reset_wipes_the_outcomes_of_slot_0() -> None:
    env, buffers = built(Scripted())
    buffers.reward[0], buffers.terminated[0], buffers.truncated[0] = 3.0, True, True
    env.reset(0)
    assert [array[0, 0] for array in (buffers.reward, buffers.terminated, buffers.truncated)] == [0, False, False]


def test_environment_seeds_are_small_and_far_apart() -> None:
    seeds = {environment_seed(seed, i) for seed in (0, 1, 2**62) for i in range(100)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**31 for seed in seeds)


# --- actions ---


def test_an_env_gets_actions_of_its_space_and_may_keep_and_change_them() -> None:
    env, _ = built(keeper := Scripted(action=spaces.Box(-1, 1, (2,), np.float64)))
    env.reset(0)
    action = np.array([[0.5, 1.0]], np.float32)
    env.step(action, 1)
    kept = keeper.actions[0]
    assert kept.dtype == np.float64
    kept[...] = 9.0
    assert action.tolist() == [[0.5, 1.0]]


def test_choices_come_in_the_spaces_own_numbering() -> None:
    space = spaces.Discrete(3, start=5, dtype=np.int32)
    env, _ = built(keeper := Scripted(action=space))
    env.reset(0)
    env.step(np.array([7]), 1)
    assert space.contains(keeper.actions[0])
    assert keeper.actions == [7]


@pytest.mark.parametrize("action", [np.zeros(1), np.zeros(2, np.int64), np.zeros((1, 1), np.int64)])
def test_actions_that_do_not_fit_are_refused(action: np.ndarray[Any, Any]) -> None:
    env, _ = built(Scripted())
    env.reset(0)
    with pytest.raises(ShapeError, match=r"test: got actions .*, expected int64 \(1,\)"):
        env.step(action, 1)


# --- observations ---


def test_numbers_of_another_dtype_are_cast() -> None:
    env, buffers = built(Scripted({"reset": ([1, 2], {}), 1: (np.array([0.1, 0.2]), 1, False, False, {})}))
    env.reset(0)
    assert buffers.observation[0].tolist() == [[1.0, 2.0]]
    env.step(np.array([0]), 1)
    assert same(buffers.observation[1, 0], np.array([0.1, 0.2], np.float32))


def test_fortran_and_strided_observations_are_copied_right() -> None:
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    space = spaces.Box(0, 10, (2, 3))
    for shown in (np.asfortranarray(value), np.repeat(value, 2, axis=1)[:, ::2]):
        env, buffers = built(Scripted({"reset": (shown, {})}, observation=space))
        env.reset(0)
        assert buffers.observation[0, 0].tolist() == value.tolist()


def test_infinite_observations_pass() -> None:
    value = np.array([np.inf, -np.inf], np.float32)
    env, buffers = built(Scripted({"reset": (value, {})}))
    env.reset(0)
    assert same(buffers.observation[0, 0], value)


def test_nan_is_found_in_large_observations() -> None:
    large = np.full((40, 40), np.inf, np.float32)
    large[3, 3] = -np.inf
    bad = large.copy()
    bad[5, 5] = np.nan
    space = spaces.Box(-np.inf, np.inf, (40, 40))
    env, _ = built(Scripted({"reset": (large, {}), 1: (bad, 0.0, False, False, {})}, observation=space))
    env.reset(0)
    with pytest.raises(EnvError, match=r"environment 0 of 1 failed in step.*holds NaN"):
        env.step(np.array([0]), 1)


def test_choices_observed_count_from_zero() -> None:
    at = {"reset": (5, {}), 1: (np.int64(7), 0.0, True, False, {}), 2: (np.int32(6), 0.0, False, False, {})}
    env, buffers = built(Scripted(at, observation=spaces.Discrete(3, start=5)))
    env.reset(0)
    env.step(np.array([0]), 1)
    assert (buffers.observation[1, 0], buffers.final_observation[1, 0]) == (0, 2)


# --- masks ---


def test_masks_are_written_for_the_observation_they_belong_to() -> None:
    mask = {"action_mask": np.array([0, 1], np.int8)}
    at = {
        "reset": (np.zeros(2, np.float32), mask),
        1: (np.zeros(2, np.float32), 0.0, True, False, {"action_mask": [1, 0]}),
    }
    env, buffers = built(Scripted(at))
    assert env.spec.action_mask
    assert buffers.action_mask is not None
    env.reset(0)
    env.step(np.array([1]), 1)
    assert buffers.action_mask[:2, 0].tolist() == [[False, True], [False, True]]


def test_a_tuple_of_masks_is_joined() -> None:
    mask = {"action_mask": (np.array([0, 1]), np.array([1, 1, 0]))}
    env, buffers = built(Scripted({"reset": (np.zeros(2), mask)}, action=spaces.MultiDiscrete([2, 3])))
    env.reset(0)
    assert buffers.action_mask is not None
    assert buffers.action_mask[0, 0].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("info", "message"),
    [({}, "got no action_mask in the info, expected 2 entries"), ({"action_mask": [1, 1, 1]}, "of 3 entries")],
)
def test_a_mask_that_is_missing_or_misshapen_is_an_error(info: dict[str, Any], message: str) -> None:
    mask = {"action_mask": np.ones(2)}
    at = {"reset": (np.zeros(2, np.float32), mask), 1: (np.zeros(2, np.float32), 0.0, False, False, info)}
    env, _ = built(Scripted(at))
    env.reset(0)
    with pytest.raises(EnvError, match=message):
        env.step(np.array([1]), 1)


def test_taxi_gives_its_masks() -> None:
    env, buffers = built(gymnasium.make("Taxi-v4"))
    env.reset(0)
    assert buffers.action_mask is not None
    assert 0 < buffers.action_mask[0].sum() < 6
    env.close()


# --- faults ---

STEP = (np.zeros(2, np.float32), 0.0, False, False, {})


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (raising(ValueError("boom")), "ValueError: boom"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(MemoryError()), "MemoryError"),
        (STEP[:4], "step gave 4 values, expected observation, reward, terminated, truncated, info"),
        ((*STEP, 1), "step gave 6 values"),
        (None, "step gave None"),
        ((None, *STEP[1:]), "observation does not fit its space: got None, expected float32 box"),
        ((np.zeros(3), *STEP[1:]), r"got float64 array of shape \(3,\)"),
        ((np.array([0, np.nan], np.float32), *STEP[1:]), r"the observation holds NaN: \[0.0, nan\]"),
        ((np.array([0, np.nan], np.float32), 0.0, False, True, {}), "the observation holds NaN"),
        ((STEP[0], np.nan, *STEP[2:]), "the reward is NaN"),
        ((STEP[0], None, *STEP[2:]), "the reward is None, expected a number"),
        ((STEP[0], "much", *STEP[2:]), "the reward is 'much'"),
        ((STEP[0], 10**400, *STEP[2:]), "the reward is 1000"),
        ((STEP[0], np.zeros(2), *STEP[2:]), "the reward is array"),
    ],
)
def test_a_fault_in_step_names_the_env_its_seed_and_the_cause(outcome: Any, message: str) -> None:
    env, _ = built(Scripted(), Scripted({2: outcome if callable(outcome) else lambda: outcome}), Scripted())
    env.reset(7)
    env.step(np.array([0, 0, 0]), 1)
    with pytest.raises(
        EnvError, match=f"environment 1 of 3 failed in step, seed {environment_seed(7, 1)}: .*{message}"
    ):
        env.step(np.array([0, 0, 0]), 2)


def test_the_cause_is_chained_and_the_remedy_reproduces_it() -> None:
    cause = ZeroDivisionError("once")
    env, _ = built(Scripted({1: raising(cause)}))
    env.reset(1)
    with pytest.raises(EnvError) as caught:
        env.step(np.array([0]), 1)
    assert caught.value.__cause__ is cause
    assert caught.value.exit_code == 5
    assert f"reset(seed={environment_seed(1, 0)})" in caught.value.remedy


def test_a_fault_in_reset_and_in_autoreset_names_reset() -> None:
    env, _ = built(Scripted(action=BOX), Scripted({"reset": raising(OSError("no file"))}, action=BOX))
    with pytest.raises(EnvError, match=r"environment 1 of 2 failed in reset, seed .*OSError: no file"):
        env.reset(0)
    broken = Scripted({1: (np.zeros(2, np.float32), 0.0, True, False, {})})
    env, _ = built(broken)
    env.reset(0)
    broken.at["reset"] = lambda: (None, {})
    with pytest.raises(EnvError, match="got None"):
        env.step(np.array([0]), 1)
    broken.at["reset"] = raising(OSError("gone"))
    with pytest.raises(EnvError, match=r"failed in reset.*OSError: gone"):
        env.step(np.array([0]), 1)


def test_a_fault_in_init_is_not_hidden_by_one_in_close() -> None:
    first = Scripted({"close": raising(ValueError("no end"))})
    with pytest.raises(EnvError, match="environment 1 has action_space"):
        built(first, Scripted(action=spaces.Discrete(3)))
    assert first.closed == 1


def test_a_fault_in_init_names_it_and_closes_the_others() -> None:
    first = Scripted()
    made = iter([lambda: first, lambda: Scripted({"init": raising(RuntimeError("no display"))})])
    with pytest.raises(EnvError, match="environment 1 of 2 failed in init: RuntimeError: no display"):
        SerialVectorEnv(lambda: next(made)(), 2, id="test")
    assert first.closed == 1


def test_interrupts_pass_through() -> None:
    env, _ = built(Scripted({1: raising(KeyboardInterrupt())}))
    env.reset(0)
    with pytest.raises(KeyboardInterrupt):
        env.step(np.array([0]), 1)


def test_envs_with_other_spaces_than_the_first_are_refused() -> None:
    with pytest.raises(EnvError, match=r"environment 1 has action_space Discrete.3., environment 0 has Discrete.2."):
        built(Scripted(), Scripted(action=spaces.Discrete(3)))


def test_a_space_that_is_none_or_unsupported_is_named() -> None:
    with pytest.raises(EnvError, match=r"observation_space is None, expected a gymnasium.Space"):
        built(Scripted(observation=None))
    with pytest.raises(UnsupportedError, match="test, observation space: Text spaces cannot be laid out"):
        built(Scripted(observation=spaces.Text(2)))


# --- its life ---


def test_close_closes_all_even_when_one_raises_and_only_once() -> None:
    envs = [Scripted({"close": raising(OSError("stuck"))}), Scripted()]
    env, _ = built(*envs)
    with pytest.raises(EnvError, match="environment 0 of 2 failed in close: OSError: stuck"):
        env.close()
    env.close()
    assert [each.closed for each in envs] == [1, 1]


def test_calls_out_of_order_are_refused() -> None:
    env = SerialVectorEnv(Scripted, 1, id="test")
    for call in (lambda: env.reset(0), lambda: env.step(np.array([0]), 1)):
        with pytest.raises(UsageError, match="reset or step before bind, or after close"):
            call()
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(0)
    with pytest.raises(UsageError, match="recv without a send"):
        env.recv()
    for slot in (0, 2):
        with pytest.raises(ShapeError, match=rf"slot is {slot}, expected 1\.\.1 as bound"):
            env.step(np.array([0]), slot)
    env.close()
    with pytest.raises(UsageError, match="after close"):
        env.step(np.array([0]), 1)


def test_buffers_of_other_rows_are_refused() -> None:
    env, other = SerialVectorEnv(Scripted, 2, id="test"), SerialVectorEnv(Scripted, 3, id="test")
    with pytest.raises(ShapeError, match="test has 2 rows, the buffers have 3"):
        env.bind(EnvBuffers.allocate(other.spec, 2))
