"""State of Gymnasium envs: what they give, through which wrappers, and what comes of a state that does not fit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FilterObservation, FrameStackObservation, TimeLimit, TransformReward

from puffer_core.checkpoints.statefile import decode, encode
from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import CheckpointError, EnvError, UnsupportedError
from puffer_core.vector import SerialVectorEnv
from puffer_core.vector.env_state import EnvState

SPACE = gymnasium.spaces.Box(-10, 10, (2,), np.float64)


class Drifting(gymnasium.Env[Any, Any]):
    """A walk whose rewards come from a generator of the env's own kind, where one is given."""

    observation_space: Any = SPACE
    action_space: Any = gymnasium.spaces.Discrete(2)
    bits: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if self.bits is not None and seed is not None:
            self.np_random = np.random.Generator(self.bits(seed))
        self.at = self.np_random.uniform(-1, 1, 2)
        return self.at, {}

    def step(self, action: Any) -> Any:
        self.at += self.np_random.uniform(-1, 1, 2)
        np.clip(self.at, -9, 9, out=self.at)
        return self.at, float(self.np_random.normal()) + action, bool(self.np_random.random() < 0.05), False, {}

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


class Philox(Drifting):
    bits = np.random.Philox


class Twister(Drifting):
    bits = np.random.MT19937


class Telling(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper with a state, which speaks for what it holds."""

    count = 0

    def step(self, action: Any) -> Any:
        self.count += 1
        observation, reward, *rest = super().step(action)
        return observation, float(reward) + self.count, *rest

    def get_state(self) -> dict[str, Any]:
        return {"count": self.count, "inner": self.unwrapped.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self.unwrapped.set_state(state["inner"])


def vector(make: Callable[[], Any], num_envs: int = 3) -> SerialVectorEnv:
    env = SerialVectorEnv(make, num_envs, id="drifting")
    env.bind(EnvBuffers.allocate(env.spec, 12))
    return env


def rows(env: SerialVectorEnv, steps: int) -> list[Any]:
    """What a few steps write."""
    buffers = EnvBuffers.allocate(env.spec, steps + 1)
    env.bind(buffers)
    for t in range(1, steps + 1):
        env.step(np.arange(env.spec.rows) % 2, t)
    parts = (buffers.observation, buffers.reward, buffers.terminated, buffers.truncated)
    return [part[1:].tobytes() for part in parts]


@pytest.mark.parametrize(
    "make",
    [
        Drifting,
        Philox,
        Twister,
        lambda: TimeLimit(Drifting(), 7),
        lambda: gymnasium.wrappers.OrderEnforcing(TimeLimit(Telling(Drifting()), 7)),
        lambda: gymnasium.wrappers.TimeAwareObservation(TimeLimit(Drifting(), 7), normalize_time=False),
        lambda: gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.wrappers.RescaleObservation(Drifting(), -1, 1)),
        lambda: Telling(FrameStackObservation(TimeLimit(Drifting(), 7), 1)),
    ],
    ids=["plain", "philox", "mersenne", "limit", "telling", "time", "harmless", "outermost"],
)
def test_an_env_goes_on_where_it_was(make: Callable[[], Any]) -> None:
    with closing(vector(make)) as env, closing(vector(make)) as other:
        assert env.spec.snapshot, env.spec.no_snapshot
        env.reset(4)
        rows(env, 9)
        state = decode(encode(env.snapshot()))
        expected = rows(env, 30)
        env.restore(state)
        other.restore(state)
        assert rows(env, 30) == expected
        assert rows(other, 30) == expected


def test_a_snapshot_is_a_copy() -> None:
    with closing(vector(Drifting, 1)) as env:
        env.reset(0)
        state = env.snapshot()
        before = state["environments"]["0"]["env"]["at"].copy()
        expected = rows(env, 5)
        assert np.array_equal(state["environments"]["0"]["env"]["at"], before)
        for _ in range(2):  # nor does the env keep what it was given
            env.restore(state)
            assert rows(env, 5) == expected


class Wordy(Drifting):
    def get_state(self) -> Any:
        return [1.0]


class Strange(Drifting):
    def get_state(self) -> Any:
        return {"position": (1.0, 2.0)}


class Broken(Drifting):
    def get_state(self) -> Any:
        raise RuntimeError("at 0x7f00")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: gymnasium.make("CartPole-v1"), "CartPoleEnv has no get_state and set_state"),
        (
            lambda: FrameStackObservation(Drifting(), 2),
            "the wrapper FrameStackObservation may have a state and has no get_state and set_state",
        ),
        (
            lambda: FrameStackObservation(gymnasium.make("CartPole-v1"), 2),
            "CartPoleEnv has no get_state and set_state",
        ),
        (lambda: TransformReward(Drifting(), float), "the wrapper TransformReward may have"),
        (lambda: type("Mine", (TimeLimit,), {})(Drifting(), 3), "the wrapper Mine may have"),
        (Wordy, "get_state of Wordy gives a list, expected a dict"),
        (Strange, "get_state of Strange gives what cannot be saved: position: a tuple"),
        (Broken, "get_state of Broken raised RuntimeError"),
    ],
)
def test_the_spec_says_why_there_is_no_state(make: Callable[[], Any], reason: str) -> None:
    with closing(vector(make)) as env:
        assert not env.spec.snapshot
        assert reason in env.spec.no_snapshot
        with pytest.raises(UnsupportedError, match="cannot give its state"):
            env.snapshot()


def test_a_name_that_a_wrapper_passes_on_is_not_its_own() -> None:
    class Passing(gymnasium.Wrapper[Any, Any, Any, Any]):
        def __getattr__(self, name: str) -> Any:
            return getattr(self.env, name)

    assert "the wrapper Passing" in EnvState(Passing(Drifting())).missing
    held = gymnasium.spaces.Dict(at=SPACE)
    assert not EnvState(FilterObservation(type("Held", (Drifting,), {"observation_space": held})(), ["at"])).missing


def test_a_state_that_does_not_fit_names_the_environment() -> None:
    class Stubborn(Drifting):
        def set_state(self, state: Any) -> None:
            raise ValueError("the walk has moved on")

    with closing(vector(Stubborn)) as env:
        env.reset(0)
        state = env.snapshot()
        with pytest.raises(CheckpointError, match=r"environment 0: set_state of Stubborn refused it: ValueError: the"):
            env.restore(state)
    misfit(lambda: TimeLimit(Drifting(), 3), 3, state, r"in \[\], this one is in \['TimeLimit'\]")
    misfit(Drifting, 2, state, "of 3 environments, here there are 2")
    misfit(Drifting, 2, {"fields": {"x": np.zeros(2)}}, "another kind of batch")


def misfit(make: Callable[[], Any], num_envs: int, state: Any, message: str) -> None:
    with closing(vector(make, num_envs)) as env, pytest.raises(CheckpointError, match=message):
        env.restore(state)


def test_a_get_state_that_fails_later_names_the_environment() -> None:
    class Tired(Drifting):
        def get_state(self) -> Any:
            if getattr(self, "stepped", False):
                raise RuntimeError("too tired")
            return super().get_state()

        def step(self, action: Any) -> Any:
            self.stepped = True
            return super().step(action)

    with closing(vector(Tired)) as env:
        env.reset(0)
        env.step(np.zeros(3, np.int64), 1)
        with pytest.raises(EnvError, match=r"environment 0 of 3 failed in get_state, seed \d+: Runtime"):
            env.snapshot()


def test_after_a_restore_messages_name_the_seed() -> None:
    class Falling(Drifting):
        def step(self, action: Any) -> Any:
            if action:
                raise ValueError("it fell")
            return super().step(action)

    with closing(vector(Falling)) as env, closing(vector(Falling)) as other:
        env.reset(5)
        other.restore(env.snapshot())
        words = []
        for each in (env, other):
            with pytest.raises(EnvError, match=r"seed \d+: ValueError: it fell") as caught:
                each.step(np.ones(3, np.int64), 1)
            words.append(str(caught.value))
        assert words[0] == words[1]
