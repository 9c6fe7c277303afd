"""Mountain car: drive out of a valley whose slope is steeper than the engine is strong, by swinging up.

Moore 1990, with the constants and Euler steps of Gymnasium's MountainCar-v0 and MountainCarContinuous-v0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_env_native.env import NativeEnv
from puffer_env_native.fields import Float32

LEFT, RIGHT = -1.2, 0.6
MAX_SPEED = 0.07
GRAVITY = 0.0025
FORCE = 0.001
CONTINUOUS_FORCE = 0.0015
GOAL = 0.5
CONTINUOUS_GOAL = 0.45
LOW = np.array([LEFT, -MAX_SPEED], np.float32)
HIGH = np.array([RIGHT, MAX_SPEED], np.float32)


def clipped(value: float, low: float, high: float) -> float:
    """The value, or the bound that it is beyond."""
    return min(max(value, low), high)


def driven(position: float, speed: float, acceleration: float) -> tuple[float, float]:
    """Position and speed one step later. The left end of the track is a wall."""
    speed = clipped(speed + acceleration - GRAVITY * math.cos(3 * position), -MAX_SPEED, MAX_SPEED)
    position = clipped(position + speed, LEFT, RIGHT)
    return position, 0.0 if position == LEFT and speed < 0 else speed


class MountainCar(NativeEnv):
    """Reward -1 a step; the episode ends on top of the right hill, no slower than `goal_velocity`."""

    observation_space = Box(LOW, HIGH)
    action_space = Discrete(3)
    max_episode_steps = 200

    position: float
    speed: float
    goal_velocity: float = 0.0

    def reset(self) -> None:
        self.position = self.uniform(-0.6, -0.4)
        self.speed = 0.0

    def step(self, action: int) -> tuple[float, bool]:
        self.position, self.speed = driven(self.position, self.speed, FORCE * (action - 1))
        return -1.0, self.position >= GOAL and self.speed >= self.goal_velocity

    def observe(self) -> tuple[float, float]:
        return self.position, self.speed

    def render(self) -> np.ndarray[Any, Any]:
        from puffer_env_native.pictures import mountain_car

        return mountain_car(self.position, GOAL)


class MountainCarContinuous(NativeEnv):
    """Reward 100 on top of the right hill, minus a tenth of the square of each action."""

    observation_space = Box(LOW, HIGH)
    action_space = Box(-1.0, 1.0, (1,))
    max_episode_steps = 999

    position: Float32
    speed: Float32
    goal_velocity: float = 0.0

    def reset(self) -> None:
        self.position = self.uniform(-0.6, -0.4)
        self.speed = 0.0

    def step(self, action: tuple[float]) -> tuple[float, bool]:
        force = CONTINUOUS_FORCE * clipped(action[0], -1.0, 1.0)
        self.position, self.speed = driven(self.position, self.speed, force)
        arrived = self.position >= CONTINUOUS_GOAL and self.speed >= self.goal_velocity
        return (100.0 if arrived else 0.0) - 0.1 * action[0] ** 2, arrived

    def observe(self) -> tuple[float, float]:
        return self.position, self.speed

    def render(self) -> np.ndarray[Any, Any]:
        from puffer_env_native.pictures import mountain_car

        return mountain_car(self.position, CONTINUOUS_GOAL)
