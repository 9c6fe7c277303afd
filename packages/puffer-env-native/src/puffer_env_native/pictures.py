"""Pictures of the classic games, drawn with Pillow where that is installed; a gridworld is its own picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import UInt8

from puffer_core.errors import UnsupportedError

Picture: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

SIZE = 320
"""Pixels along each edge of a drawing."""
LEAST = 256
"""Pixels along the shorter edge of an enlarged observation, at least."""

PAPER, INK, PALE = (250, 250, 248), (40, 44, 52), (190, 194, 200)
RED, GREEN, BLUE = (214, 64, 56), (46, 160, 92), (52, 104, 192)


def enlarged(pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Every pixel as a square of equal pixels, so that a small observation can be seen.

    Example:
        >>> enlarged(np.zeros((8, 8, 3), np.uint8)).shape
        (256, 256, 3)
    """
    times = max(1, math.ceil(LEAST / min(pixels.shape[:2])))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def plain(colour: Colour) -> UInt8[np.ndarray, "height width 3"]:
    """Nothing but a colour.

    Example:
        >>> plain(RED)[0, 0].tolist()
        [214, 64, 56]
    """
    return np.full((LEAST, LEAST, 3), colour, np.uint8)


def cartpole(position: float, angle: float, edge: float) -> UInt8[np.ndarray, "height width 3"]:
    """A cart on a track that ends `edge` metres from the middle, and its pole.

    Example:
        >>> cartpole(0.0, 0.1, edge=2.4).shape
        (320, 320, 3)
    """
    canvas = _Canvas(-1.25 * edge, 1.25 * edge, bottom=-0.85 * edge)
    canvas.line([(-edge, 0.0), (edge, 0.0)], INK, 0.03)
    for end in (-edge, edge):
        canvas.line([(end, -0.1), (end, 0.1)], RED, 0.05)
    canvas.box((position - 0.35, -0.15), (position + 0.35, 0.2), INK)
    top = (position + 1.5 * math.sin(angle), 0.2 + 1.5 * math.cos(angle))
    canvas.line([(position, 0.2), top], RED, 0.12)
    canvas.disc((position, 0.2), 0.08, BLUE)
    return canvas.picture()


def pendulum(angle: float) -> UInt8[np.ndarray, "height width 3"]:
    """A rod that turns about its lower end; upright where the angle is 0, which grows counterclockwise.

    Example:
        >>> pendulum(3.0).shape
        (320, 320, 3)
    """
    canvas = _Canvas(-1.3, 1.3, bottom=-1.3)
    end = (-math.sin(angle), math.cos(angle))
    canvas.line([(0.0, 0.0), end], RED, 0.16)
    canvas.disc(end, 0.08, RED)
    canvas.disc((0.0, 0.0), 0.06, INK)
    return canvas.picture()


def acrobot(first: float, second: float) -> UInt8[np.ndarray, "height width 3"]:
    """Two links that hang from the middle, and the height that the free end has to reach.

    Example:
        >>> acrobot(0.3, -0.2).shape
        (320, 320, 3)
    """
    canvas = _Canvas(-2.2, 2.2, bottom=-2.2)
    canvas.line([(-2.2, 1.0), (2.2, 1.0)], GREEN, 0.03)
    joint = (math.sin(first), -math.cos(first))
    end = (joint[0] + math.sin(first + second), joint[1] - math.cos(first + second))
    for start, stop, colour in (((0.0, 0.0), joint, INK), (joint, end, BLUE)):
        canvas.line([start, stop], colour, 0.16)
        canvas.disc(start, 0.11, RED)
    return canvas.picture()


def mountain_car(position: float, goal: float) -> UInt8[np.ndarray, "height width 3"]:
    """A car between two hills, and a flag at the goal.

    Example:
        >>> mountain_car(-0.5, goal=0.5).shape
        (320, 320, 3)
    """
    left, right = -1.2, 0.6
    canvas = _Canvas(left, right, bottom=-0.3)
    canvas.line([(x, _height(x)) for x in np.linspace(left, right, 100).tolist()], INK, 0.015)
    flag = _height(goal) + 0.2
    canvas.line([(goal, _height(goal)), (goal, flag)], INK, 0.01)
    canvas.shape([(goal, flag), (goal, flag - 0.08), (goal + 0.09, flag - 0.04)], GREEN)
    slope = math.atan(1.35 * math.cos(3 * position))
    corners = ((-0.08, 0.03), (0.08, 0.03), (0.05, 0.1), (-0.05, 0.1))
    canvas.shape([_placed(position, slope, corner) for corner in corners], RED)
    for wheel in (-0.05, 0.05):
        canvas.disc(_placed(position, slope, (wheel, 0.03)), 0.026, INK)
    return canvas.picture()


def _height(position: float) -> float:
    return 0.45 * math.sin(3 * position) + 0.55


def _placed(position: float, slope: float, point: Point) -> Point:
    """A point of the car, where the car stands."""
    x, y = point
    cosine, sine = math.cos(slope), math.sin(slope)
    return position + x * cosine - y * sine, _height(position) + x * sine + y * cosine


class _Canvas:
    """A square to draw on, in the game's own lengths: x from `left` to `right`, y upwards from `bottom`."""

    def __init__(self, left: float, right: float, *, bottom: float) -> None:
        try:
            from PIL import Image, ImageDraw
        except ImportError:
            raise UnsupportedError(
                "a picture of this env needs the package pillow, which is not installed",
                remedy='pip install "puffer-env-native[render]"',
            ) from None
        self._scale = 2 * SIZE / (right - left)  # drawn at twice the size, and then halved: smooth edges
        self._left, self._bottom = left, bottom
        self._image = Image.new("RGB", (2 * SIZE, 2 * SIZE), PAPER)
        self._half: Callable[[Any], Any] = lambda image: image.resize((SIZE, SIZE), Image.Resampling.BOX)
        self._draw = ImageDraw.Draw(self._image)

    def _at(self, point: Point) -> Point:
        return (point[0] - self._left) * self._scale, 2 * SIZE - (point[1] - self._bottom) * self._scale

    def line(self, points: list[Point], colour: Colour, width: float) -> None:
        self._draw.line([self._at(p) for p in points], colour, round(width * self._scale), joint="curve")

    def shape(self, points: list[Point], colour: Colour) -> None:
        self._draw.polygon([self._at(p) for p in points], colour)

    def box(self, lower: Point, upper: Point, colour: Colour) -> None:
        self.shape([lower, (upper[0], lower[1]), upper, (lower[0], upper[1])], colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        x, y = self._at(centre)
        r = radius * self._scale
        self._draw.ellipse([x - r, y - r, x + r, y + r], colour)

    def picture(self) -> Picture:
        return np.asarray(self._half(self._image), np.uint8)
