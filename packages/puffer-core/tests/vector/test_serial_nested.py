"""Serial mode with nested spaces and masks: what envs are given, what is written, errors that name the key."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import EnvError, UnsupportedError
from puffer_core.vector.seeding import environment_seed
from puffer_core.vector.serial import SerialVectorEnv

ROOM = spaces.Dict(
    [
        ("image", spaces.Box(0, 255, (2, 2, 3), np.uint8)),
        ("direction", spaces.Discrete(4, start=1)),
        ("hand", spaces.Tuple([spaces.Box(-9, 9, (2,)), spaces.MultiDiscrete([3, 4], start=[1, 0])])),
    ]
)
MOVE = spaces.Dict(
    jump=spaces.Discrete(3, start=5), push=spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.MultiBinary(2)])
)


class Sampled(gymnasium.Env[Any, Any]):
    """Observes samples of its space; `instead` replaces what the given step shows."""

    def __init__(self, space: Any = ROOM, action: Any = MOVE, instead: dict[int, Any] | None = None) -> None:
        self.observation_space, self.action_space = deepcopy(space), action  # each draws from its own
        self.instead = instead or {}
        self.count = 0
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.observation_space.seed(seed)
        self.count = 0
        return self._show(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        self.actions.append(action)
        return self._show(), 1.0, self.count == 5, False, {}

    def _show(self) -> Any:
        sample = self.observation_space.sample()
        return self.instead.get(self.count, lambda shown: shown)(sample)


def built(*envs: gymnasium.Env[Any, Any], slots: int = 4) -> tuple[SerialVectorEnv, EnvBuffers]:
    waiting = list(envs)
    env = SerialVectorEnv(lambda: waiting.pop(0), len(envs), id="test")
    buffers = EnvBuffers.allocate(env.spec, slots)
    env.bind(buffers)
    return env, buffers


def actions(env: SerialVectorEnv, rows: int) -> np.ndarray[Any, Any]:
    values = {"jump": np.full(rows, 6), "push.0": np.full((rows, 2), 0.5), "push.1": np.ones((rows, 2))}
    return np.asarray(env.spec.action.join({name: values[name] for name in env.spec.action.names}))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return np.asarray(one).dtype == np.asarray(other).dtype and np.asarray(one).tobytes() == np.asarray(other).tobytes()


# --- trajectories ---


@pytest.mark.parametrize("rows", [1, 3])
def test_it_plays_what_a_plain_loop_plays_to_the_bit(rows: int) -> None:
    env, buffers = built(*(Sampled() for _ in range(rows)), slots=13)
    env.reset(seed=3)
    for t in range(12):
        env.step(actions(env, rows), t + 1)
    decode = env.spec.observation.decode
    for row in range(rows):
        plain = Sampled()
        observation, _ = plain.reset(seed=environment_seed(3, row))
        for t in range(12):
            assert same(decode(buffers.observation[t, row]), observation)
            observation, _, terminated, _, _ = plain.step(None)
            assert buffers.terminated[t + 1, row] == terminated
            if terminated:
                assert same(decode(buffers.final_observation[t + 1, row]), observation)
                observation, _ = plain.reset()
    assert buffers.terminated.sum() == 2 * rows


def test_an_env_gets_its_action_nested_and_of_its_own() -> None:
    env, _ = built(one := Sampled(), Sampled())
    env.reset(0)
    rows = actions(env, 2)
    before = rows.copy()
    env.step(rows, 1)
    action = one.actions[0]
    assert MOVE.contains(action)
    assert (action["jump"], type(action["jump"]), type(action["push"])) == (6, np.int64, tuple)
    assert action["push"][0].tolist() == [0.5, 0.5]
    action["push"][0][...] = 9.0
    assert rows.tobytes() == before.tobytes()


def test_a_box_without_axes_is_given_as_an_array() -> None:
    space = spaces.Box(-1, 1, ())
    env, _ = built(one := Sampled(action=space))
    env.reset(0)
    env.step(np.array([0.5], np.float32), 1)
    assert isinstance(one.actions[0], np.ndarray)
    assert space.contains(one.actions[0])


# --- what does not fit ---


def change(**parts: Any) -> Any:
    return lambda shown: {**shown, **parts}


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        (lambda shown: None, "got None, expected a dict of image, direction, hand"),
        (lambda shown: {"image": shown["image"]}, "got no direction, hand, expected the keys"),
        (change(mood=1), "got an unknown mood, expected the keys image, direction, hand"),
        (change(image=np.zeros((2, 2), np.uint8)), r"image: got uint8 array of shape \(2, 2\), expected uint8 box"),
        (change(image=np.full((2, 2, 3), 0.5)), r"image: got float64 array"),
        (change(image=None), "image: got None"),
        (change(direction=0), "direction: got 0, expected one of 4 choices from 1"),
        (change(direction=5), "direction: got 5"),
        (change(direction="north"), "direction: got 'north'"),
        (change(hand=3), "hand: got 3, expected a tuple of 2"),
        (change(hand=(np.zeros(2, np.float32),)), "hand: got 1 parts, expected a tuple of 2"),
        (change(hand=(np.zeros(2, np.float32), np.array([1, 4]))), r"hand\.1: got \[1, 4\], expected .* 3, 4 choices"),
        (change(hand=(np.array([0, np.nan], np.float32), np.array([1, 0]))), r"hand\.0 .* holds NaN: \[0\.0, nan\]"),
    ],
)
@pytest.mark.parametrize("step", [1, 5])
def test_what_does_not_fit_names_the_env_the_key_and_what_was_expected(step: int, instead: Any, message: str) -> None:
    """In step 5 the episode ends, and it is the final observation that does not fit."""
    env, _ = built(Sampled(), Sampled(instead={step: instead}), Sampled())
    env.reset(0)
    for _ in range(step - 1):
        env.step(actions(env, 3), 1)
    with pytest.raises(EnvError, match=f"environment 1 of 3 failed in step, seed .*{message}"):
        env.step(actions(env, 3), 1)


def test_bounds_of_a_box_are_the_checkers_business() -> None:
    env, buffers = built(Sampled(instead={0: change(hand=(np.full(2, 99, np.float32), np.array([1, 0])))}))
    env.reset(0)
    assert env.spec.observation.decode(buffers.observation[0, 0])["hand"][0].tolist() == [99, 99]


def test_a_part_that_cannot_be_laid_out_is_named() -> None:
    with pytest.raises(
        UnsupportedError, match=r"test, observation space: mission: Text spaces cannot be laid out"
    ) as caught:
        built(Sampled(spaces.Dict(mission=spaces.Text(3), image=ROOM["image"])))
    assert "--env.without mission" in caught.value.remedy


# --- masks ---

BOX = spaces.Box(0, 1, (2,))


class Masked(gymnasium.Env[Any, Any]):
    """Shows `masks` in turn, in its observation or in its info."""

    def __init__(self, masks: list[Any], action: Any, mask_space: Any = None, **beside: Any) -> None:
        self.masks, self.action_space = masks, action
        self.in_observation = mask_space is not None
        parts = {"observation": BOX, **beside, "action_mask": mask_space} if self.in_observation else {}
        self.observation_space = spaces.Dict(list(parts.items())) if parts else BOX
        self.count = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(0)
        self.count = 0
        return self._show()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        shown, info = self._show()
        return shown, 0.0, False, False, info

    def _show(self) -> tuple[Any, dict[str, Any]]:
        mask, sample = self.masks[self.count % len(self.masks)], self.observation_space.sample()
        return ({**sample, "action_mask": mask}, {}) if self.in_observation else (sample, {"action_mask": mask})


def test_a_mask_is_taken_out_of_the_observation_which_is_unwrapped() -> None:
    masks = [np.array([1, 0, 1], np.int8), np.array([0, 1, 0], np.int8)]
    env, buffers = built(*(Masked(masks, spaces.Discrete(3), spaces.MultiBinary(3)) for _ in range(2)))
    assert (env.spec.action_mask, env.spec.observation.space) == (True, BOX)
    env.reset(0)
    env.step(np.array([0, 0]), 1)
    assert buffers.action_mask is not None
    assert buffers.action_mask[:2].astype(int).tolist() == [[[1, 0, 1]] * 2, [[0, 1, 0]] * 2]


def test_what_stands_beside_a_mask_stays_a_dict_in_order() -> None:
    masked = Masked([np.ones(3)], spaces.Discrete(3), spaces.Box(0, 1, (3,)), goal=spaces.Discrete(2))
    env, _ = built(masked)
    assert env.spec.observation.names == ("observation", "goal")


def test_a_key_of_that_name_with_another_size_is_an_observation() -> None:
    env, _ = built(Masked([np.ones(4, np.int8)], spaces.Discrete(3), spaces.MultiBinary(4)))
    assert not env.spec.action_mask
    assert env.spec.observation.names == ("observation", "action_mask")


NESTED = spaces.Dict(a=spaces.Discrete(2), b=spaces.Box(0, 1, (1,)), c=spaces.MultiDiscrete([2, 3]))


@pytest.mark.parametrize(
    ("mask", "entries"),
    [
        (np.array([0, 1, 1, 0, 1, 1, 0]), [0, 1, 1, 0, 1, 1, 0]),
        ([0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 0, 1, 1, 0]),
        ({"a": [0, 1], "c": (np.array([1, 0]), np.array([1, 1, 0]))}, [0, 1, 1, 0, 1, 1, 0]),
        ({"a": [0, 1], "b": None}, [0, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_masks_of_nested_actions_stand_one_after_another(mask: Any, entries: list[int]) -> None:
    env, buffers = built(Masked([mask], NESTED))
    env.reset(0)
    assert buffers.action_mask is not None
    assert buffers.action_mask[0, 0].astype(int).tolist() == entries


def test_masks_in_a_tuple_within_the_observation_are_joined() -> None:
    parts = spaces.Tuple([spaces.MultiBinary(2), spaces.MultiBinary(3)])
    mask = (np.array([1, 0], np.int8), np.array([0, 1, 1], np.int8))
    env, buffers = built(Masked([mask], spaces.MultiDiscrete([2, 3]), parts))
    env.reset(0)
    assert buffers.action_mask is not None
    assert buffers.action_mask[0, 0].astype(int).tolist() == [1, 0, 0, 1, 1]
    assert env.spec.observation.space == BOX


@pytest.mark.parametrize(
    ("mask", "action", "message"),
    [
        ([0, 0], spaces.Discrete(2), r"the action_mask allows no choice, expected at least one: \[False, False\]"),
        ((np.array([1, 1]), np.zeros(3)), spaces.MultiDiscrete([2, 3]), "allows no choice of element 1"),
        ("all", spaces.Discrete(2), "got the action_mask 'all' in the info, which is no mask"),
        ([[1], [1, 0]], spaces.Discrete(2), "which is no mask"),
        ({"z": [1, 1]}, NESTED, r"which is no mask: expected keys of \['a', 'b', 'c'\]"),
        (None, spaces.Discrete(2), "got no action_mask in the info, expected 2 entries"),
    ],
)
def test_a_mask_that_cannot_be_is_an_error(mask: Any, action: Any, message: str) -> None:
    env, _ = built(Masked([np.ones(env_size(action)), mask], action), Masked([np.ones(env_size(action))], action))
    env.reset(0)
    layout = env.spec.action
    with pytest.raises(EnvError, match=f"environment 0 of 2 failed in step.*{message}"):
        env.step(np.zeros((2, *layout.shape), layout.dtype), 1)


def env_size(action: Any) -> int:
    return 7 if action is NESTED else int(spaces.flatdim(action))


def test_an_empty_mask_in_the_observation_is_an_error() -> None:
    env, _ = built(Masked([np.zeros(3, np.int8)], spaces.Discrete(3), spaces.MultiBinary(3)))
    with pytest.raises(EnvError, match=r"failed in reset.*allows no choice"):
        env.reset(0)


# --- other faults of a step ---


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ((0.0, False, False, 1), "the info is 1, expected a dict"),
        ((0.0, np.array([True, False]), False, {}), "terminated and truncated are .*, expected True or False"),
    ],
)
def test_flags_and_infos_that_are_none_are_refused(outcome: Any, message: str) -> None:
    broken = Sampled(BOX, spaces.Discrete(2))
    env, _ = built(Sampled(BOX, spaces.Discrete(2)), broken)
    env.reset(0)
    env._steps[1] = lambda action: (np.zeros(2, np.float32), *outcome)
    with pytest.raises(EnvError, match=f"environment 1 of 2 failed in step.*{message}"):
        env.step(np.array([0, 0]), 1)


@pytest.mark.parametrize("begun", [np.zeros(2, np.float32), (np.zeros(2, np.float32),), (np.zeros(2), 3)])
def test_a_reset_that_gives_no_info_is_refused(begun: Any) -> None:
    broken = Sampled(BOX, BOX)
    broken.reset = lambda **given: begun  # type: ignore[method-assign]
    env, _ = built(broken)
    with pytest.raises(EnvError, match=r"failed in reset.*reset gave .*, expected \(observation, info\)"):
        env.reset(0)
