"""A short look at an env: it ends, and leaves nothing behind."""

from __future__ import annotations

import random
import time
from itertools import islice
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core.vector import SerialVectorEnv
from puffer_core.vector.measuring import generators_kept, measure_step, timed_steps


class Slow(gymnasium.Env[Any, Any]):
    """Its steps take at least `SECONDS` of the processor's time."""

    SECONDS = 0.02
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        end = time.perf_counter() + self.SECONDS
        while time.perf_counter() < end:
            pass
        return np.zeros(2, np.float32), 0.0, False, False, {}


class Masked(Slow):
    """Takes no action but the one that it allows."""

    SECONDS = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.allowed = 0
        return super().reset()[0], {"action_mask": self._mask()}

    def step(self, action: Any) -> Any:
        assert action == self.allowed
        self.allowed = 1 - self.allowed
        return *super().step(action)[:4], {"action_mask": self._mask()}

    def _mask(self) -> np.ndarray:
        return np.arange(2) == self.allowed


def test_a_step_costs_what_it_costs() -> None:
    env = SerialVectorEnv(Slow, 2, id="slow")
    assert measure_step(env, steps=3) >= 2 * Slow.SECONDS
    env.close()


def test_it_ends_when_the_time_is_up() -> None:
    slow = Slow()
    measure_step(SerialVectorEnv(lambda: slow, 1, id="slow"), steps=1000, seconds=4 * Slow.SECONDS)
    assert 1 <= slow.steps <= 5


def test_it_ends_after_so_many_steps() -> None:
    env = SerialVectorEnv(lambda: gymnasium.make("CartPole-v1"), 3, id="CartPole-v1")
    assert 0.0 < measure_step(env, steps=20, seconds=60.0) < 60.0


def test_cheap_steps_are_timed_together() -> None:
    env = SerialVectorEnv(lambda: gymnasium.make("CartPole-v1"), 3, id="CartPole-v1")
    blocks = list(islice(timed_steps(env, block=40), 10))
    assert all(1 <= steps <= 40 and seconds > 0 for steps, seconds in blocks)
    assert sum(steps for steps, _ in blocks) > 10


def test_a_costly_step_is_a_block_of_its_own() -> None:
    blocks = timed_steps(SerialVectorEnv(Slow, 1, id="slow"), block=40)
    assert [steps for steps, _ in islice(blocks, 2)] == [1, 1]


def test_masks_are_heeded_at_every_step() -> None:
    env = SerialVectorEnv(Masked, 2, id="masked")
    assert [steps for steps, _ in islice(timed_steps(env, block=40), 30)] == [1] * 30


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_the_process_has_its_generators_back(draw: Any) -> None:
    with generators_kept():
        before = draw()
        draw()
    assert draw() == before
