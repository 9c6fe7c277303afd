"""Gridworld: find the way to the goal between random walls, seen as pixels.

Every episode has walls, an agent and a goal of its own, and a way from one to the other. The reward is MiniGrid's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_core.errors import UsageError
from puffer_env_native.env import NativeEnv
from puffer_env_native.fields import Array, Constant, Int16, UInt8, elements

UP, RIGHT, DOWN, LEFT = 0, 1, 2, 3
FLOOR = (24, 24, 32)
WALL = (136, 136, 144)
AGENT = (224, 48, 48)
GOAL = (48, 208, 96)


class GridWorld(NativeEnv):
    """Reward 1 - 0.9 * steps / limit at the goal, which ends the episode; 0 elsewhere. Walls let nothing through."""

    action_space = Discrete(4)

    size: Constant = 8  # rows and columns of the grid
    scale: Constant = 3  # pixels along a cell's edge
    sight: Constant = 0  # cells seen along an edge, the agent in their middle; 0: the whole grid
    density: float = 0.3  # of walls, before a way is cleared

    walls = Array(UInt8, "size", "size")
    row: Int16
    column: Int16
    goal_row: Int16
    goal_column: Int16

    @classmethod
    def derive(cls) -> None:
        if cls.size < 2 or cls.scale < 1 or cls.sight < 0 or (cls.sight and cls.sight % 2 == 0):
            raise UsageError(
                f"{cls.__name__}: size is {cls.size}, scale {cls.scale} and sight {cls.sight}; expected size >= 2, "
                "scale >= 1 and sight 0 or odd"
            )
        edge = (cls.sight or cls.size) * cls.scale
        cls.observation_space = Box(0, 255, (edge, edge, 3), np.uint8)
        cls.max_episode_steps = 4 * cls.size**2

    def reset(self) -> None:
        for row in range(self.size):
            for column in range(self.size):
                self.walls[row, column] = self.uniform(0.0, 1.0) < self.density
        start = self.integer(0, self.size**2)
        goal = (start + self.integer(1, self.size**2)) % self.size**2
        self.row, self.column = start // self.size, start % self.size
        self.goal_row, self.goal_column = goal // self.size, goal % self.size
        self.clear_a_way()

    def clear_a_way(self) -> None:
        """Tear down the walls along one of the shortest ways, picked at random."""
        row, column = self.row, self.column
        self.walls[row, column] = 0
        while row != self.goal_row or column != self.goal_column:
            down, right = self.goal_row - row, self.goal_column - column
            if self.integer(0, abs(down) + abs(right)) < abs(down):
                row += 1 if down > 0 else -1
            else:
                column += 1 if right > 0 else -1
            self.walls[row, column] = 0

    def step(self, action: int) -> tuple[float, bool]:
        row, column = self.beyond(action)
        if not self.is_wall(row, column):
            self.row, self.column = row, column
        arrived = self.row == self.goal_row and self.column == self.goal_column
        reward = 1 - 0.9 * (self.elapsed + 1) / self.max_episode_steps if arrived else 0.0
        return reward, arrived

    def beyond(self, action: int) -> tuple[int, int]:
        """The cell that a move leads to."""
        down = 1 if action == DOWN else -1 if action == UP else 0
        right = 1 if action == RIGHT else -1 if action == LEFT else 0
        return self.row + down, self.column + right

    def is_wall(self, row: int, column: int) -> bool:
        """Whether nothing can move there; the grid has a wall around it."""
        inside = 0 <= row < self.size and 0 <= column < self.size
        return not inside or self.walls[row, column] == 1

    def colour(self, row: int, column: int) -> tuple[int, int, int]:
        """What a cell looks like."""
        if row == self.row and column == self.column:
            return AGENT
        if row == self.goal_row and column == self.goal_column:
            return GOAL
        return WALL if self.is_wall(row, column) else FLOOR

    def observe(self, out: Array) -> None:
        edge = self.sight or self.size
        top, left = (self.row - edge // 2, self.column - edge // 2) if self.sight else (0, 0)
        for row in range(edge):
            for column in range(edge):
                colour = self.colour(top + row, left + column)
                for y in range(row * self.scale, (row + 1) * self.scale):
                    for x in range(column * self.scale, (column + 1) * self.scale):
                        out[y, x, 0], out[y, x, 1], out[y, x, 2] = colour

    def render(self) -> np.ndarray[Any, Any]:
        from puffer_env_native.pictures import enlarged

        pixels = np.zeros(self.observation_space.shape or (), np.uint8)
        self.observe(elements(pixels))
        return enlarged(pixels)


class MaskedGridWorld(GridWorld):
    """The same game, in which moves into walls are masked."""

    def action_mask(self, out: Array) -> None:
        for action in range(4):
            row, column = self.beyond(action)
            out[action] = not self.is_wall(row, column)
