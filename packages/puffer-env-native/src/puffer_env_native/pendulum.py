"""Pendulum: swing a pendulum up and hold it there with a motor too weak to lift it.

The constants, Euler steps and cost of Gymnasium's Pendulum-v1. An angle of 0 is upright.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from puffer_env_native.env import NativeEnv

SECONDS = 0.05
MASS = 1.0
LENGTH = 1.0
MAX_TORQUE = 2.0
MAX_SPEED = 8.0
BOUND = np.array([1.0, 1.0, MAX_SPEED], np.float32)


def normalised(angle: float) -> float:
    """The same direction within [-pi, pi)."""
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


class Pendulum(NativeEnv):
    """Reward: minus the squares of angle, speed and torque, weighted; at best 0. Episodes never terminate."""

    observation_space = Box(-BOUND, BOUND)
    action_space = Box(-MAX_TORQUE, MAX_TORQUE, (1,))
    max_episode_steps = 200

    angle: float
    speed: float
    g: float = 10.0

    def reset(self) -> None:
        self.angle = self.uniform(-math.pi, math.pi)
        self.speed = self.uniform(-1.0, 1.0)

    def step(self, action: tuple[float]) -> tuple[float, bool]:
        torque = min(max(action[0], -MAX_TORQUE), MAX_TORQUE)
        cost = normalised(self.angle) ** 2 + 0.1 * self.speed**2 + 0.001 * torque**2
        gravity, motor = 3 * self.g / (2 * LENGTH), 3.0 / (MASS * LENGTH**2)

        speed = self.speed + (gravity * math.sin(self.angle) + motor * torque) * SECONDS
        self.speed = min(max(speed, -MAX_SPEED), MAX_SPEED)
        self.angle += self.speed * SECONDS
        return -cost, False

    def observe(self) -> tuple[float, float, float]:
        return math.cos(self.angle), math.sin(self.angle), self.speed

    def render(self) -> np.ndarray[Any, Any]:
        from puffer_env_native.pictures import pendulum

        return pendulum(self.angle)
