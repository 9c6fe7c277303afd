"""CartPole: keep a pole upright on a cart that is pushed left or right.

Barto, Sutton and Anderson 1983, with the constants, Euler steps and limits of Gymnasium's CartPole-v1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_env_native.env import NativeEnv
from puffer_env_native.fields import Constant

CART_MASS = 1.0
POLE_MASS = 0.1
TOTAL_MASS = POLE_MASS + CART_MASS
HALF_LENGTH = 0.5
POLE_MOMENT = POLE_MASS * HALF_LENGTH
FORCE = 10.0
SECONDS = 0.02
MAX_POSITION = 2.4
MAX_ANGLE = 12 * 2 * math.pi / 360
BOUND = np.array([2 * MAX_POSITION, np.inf, 2 * MAX_ANGLE, np.inf], np.float32)


class CartPole(NativeEnv):
    """Reward 1 a step; the episode ends when the cart leaves the track or the pole leans more than 12 degrees."""

    action_space = Discrete(2)
    max_episode_steps = 500

    x: float
    x_speed: float
    angle: float
    angle_speed: float
    gravity: float = 9.8
    velocities: Constant = True  # are seen; without them the present tells too little, and a policy needs a memory

    @classmethod
    def derive(cls) -> None:
        seen = BOUND if cls.velocities else BOUND[[0, 2]]
        cls.observation_space = Box(-seen, seen)
        if not cls.velocities:
            cls.observe = cls.positions  # type: ignore[method-assign]

    def reset(self) -> None:
        self.x = self.uniform(-0.05, 0.05)
        self.x_speed = self.uniform(-0.05, 0.05)
        self.angle = self.uniform(-0.05, 0.05)
        self.angle_speed = self.uniform(-0.05, 0.05)

    def step(self, action: int) -> tuple[float, bool]:
        force = FORCE if action == 1 else -FORCE
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        push = (force + POLE_MOMENT * (self.angle_speed * self.angle_speed) * sine) / TOTAL_MASS
        inertia = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS)
        angle_acceleration = (self.gravity * sine - cosine * push) / inertia
        x_acceleration = push - POLE_MOMENT * angle_acceleration * cosine / TOTAL_MASS

        self.x += SECONDS * self.x_speed
        self.x_speed += SECONDS * x_acceleration
        self.angle += SECONDS * self.angle_speed
        self.angle_speed += SECONDS * angle_acceleration
        return 1.0, abs(self.x) > MAX_POSITION or abs(self.angle) > MAX_ANGLE

    def observe(self) -> Any:
        return self.x, self.x_speed, self.angle, self.angle_speed

    def positions(self) -> tuple[float, float]:
        """What is seen without the velocities."""
        return self.x, self.angle

    def render(self) -> np.ndarray[Any, Any]:
        from puffer_env_native.pictures import cartpole

        return cartpole(self.x, self.angle, MAX_POSITION)
