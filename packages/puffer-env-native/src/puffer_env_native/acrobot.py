"""Acrobot: swing a chain of two links up by its middle joint, until its free end is one link above the fixed one.

Sutton and Barto's book, with the constants, limits and Runge-Kutta steps of Gymnasium's Acrobot-v1. Both angles are 0
where the chain hangs down; the second is relative to the first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_env_native.env import NativeEnv

SECONDS = 0.2
GRAVITY = 9.8
MASS = 1.0
LENGTH = 1.0
CENTRE = 0.5
INERTIA = 1.0
MAX_SPEED_1 = 4 * math.pi
MAX_SPEED_2 = 9 * math.pi
BOUND = np.array([1.0, 1.0, 1.0, 1.0, MAX_SPEED_1, MAX_SPEED_2], np.float32)


def accelerations(angle_1: float, angle_2: float, speed_1: float, speed_2: float, torque: float) -> tuple[float, float]:
    """Of both angles; the equations of motion."""
    cosine, sine = math.cos(angle_2), math.sin(angle_2)
    lever = MASS * LENGTH * CENTRE
    d1 = MASS * CENTRE**2 + MASS * (LENGTH**2 + CENTRE**2 + 2 * LENGTH * CENTRE * cosine) + 2 * INERTIA
    d2 = MASS * (CENTRE**2 + LENGTH * CENTRE * cosine) + INERTIA
    phi2 = MASS * CENTRE * GRAVITY * math.sin(angle_1 + angle_2)
    phi1 = (
        -lever * sine * (speed_2 * speed_2 + 2 * speed_2 * speed_1)
        + (MASS * CENTRE + MASS * LENGTH) * GRAVITY * math.sin(angle_1)
        + phi2
    )
    pull = torque + d2 / d1 * phi1 - lever * (speed_1 * speed_1) * sine - phi2
    second = pull / (MASS * CENTRE**2 + INERTIA - d2 * d2 / d1)
    return -(d2 * second + phi1) / d1, second


def wrapped(angle: float) -> float:
    """The same direction within [-pi, pi]."""
    return angle - 2 * math.pi * math.ceil((angle - math.pi) / (2 * math.pi))


class Acrobot(NativeEnv):
    """Reward -1 a step, 0 for the one that swings the free end up; that ends the episode."""

    observation_space = Box(-BOUND, BOUND)
    action_space = Discrete(3)
    max_episode_steps = 500

    angle_1: float
    angle_2: float
    speed_1: float
    speed_2: float

    def reset(self) -> None:
        self.angle_1 = self.uniform(-0.1, 0.1)
        self.angle_2 = self.uniform(-0.1, 0.1)
        self.speed_1 = self.uniform(-0.1, 0.1)
        self.speed_2 = self.uniform(-0.1, 0.1)

    def step(self, action: int) -> tuple[float, bool]:
        self.swing(action - 1.0)
        up = -math.cos(self.angle_1) - math.cos(self.angle_1 + self.angle_2) > 1.0
        return 0.0 if up else -1.0, up

    def swing(self, torque: float) -> None:
        """One step of the classic Runge-Kutta method: a, b, c, d are the slopes at its four points."""
        x1, x2, v1, v2 = self.angle_1, self.angle_2, self.speed_1, self.speed_2
        half = SECONDS / 2
        a1, a2 = accelerations(x1, x2, v1, v2, torque)
        va1, va2 = v1 + half * a1, v2 + half * a2
        b1, b2 = accelerations(x1 + half * v1, x2 + half * v2, va1, va2, torque)
        vb1, vb2 = v1 + half * b1, v2 + half * b2
        c1, c2 = accelerations(x1 + half * va1, x2 + half * va2, vb1, vb2, torque)
        vc1, vc2 = v1 + SECONDS * c1, v2 + SECONDS * c2
        d1, d2 = accelerations(x1 + SECONDS * vb1, x2 + SECONDS * vb2, vc1, vc2, torque)

        sixth = SECONDS / 6
        self.angle_1 = wrapped(x1 + sixth * (v1 + 2 * va1 + 2 * vb1 + vc1))
        self.angle_2 = wrapped(x2 + sixth * (v2 + 2 * va2 + 2 * vb2 + vc2))
        self.speed_1 = min(max(v1 + sixth * (a1 + 2 * b1 + 2 * c1 + d1), -MAX_SPEED_1), MAX_SPEED_1)
        self.speed_2 = min(max(v2 + sixth * (a2 + 2 * b2 + 2 * c2 + d2), -MAX_SPEED_2), MAX_SPEED_2)

    def observe(self) -> tuple[float, float, float, float, float, float]:
        return (
            math.cos(self.angle_1),
            math.sin(self.angle_1),
            math.cos(self.angle_2),
            math.sin(self.angle_2),
            self.speed_1,
            self.speed_2,
        )

    def render(self) -> np.ndarray[Any, Any]:
        from puffer_env_native.pictures import acrobot

        return acrobot(self.angle_1, self.angle_2)
