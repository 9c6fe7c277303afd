from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from puffer_logger_wandb import media


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (np.float32(0.5), 0.5),
        (torch.tensor(2.0, requires_grad=True) * 2, 4.0),
        (torch.ones(3, requires_grad=True), math.nan),
        (np.ones(3), math.nan),
        (None, math.nan),
        ("high", math.nan),
        (10**400, math.nan),
        (math.inf, math.inf),
    ],
)
def test_any_value_is_a_number_or_none(value: Any, number: float) -> None:
    assert media.number(value) == pytest.approx(number, nan_ok=True)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_have_their_size(channels: int) -> None:
    made = media.image(np.zeros((4, 6, channels), np.uint8))
    assert made is not None
    assert made.image is not None
    assert made.image.size == (6, 4)


@pytest.mark.parametrize("shape", [(4, 6, 2), (0, 6, 3)])
def test_what_is_no_picture_is_dropped(shape: tuple[int, ...], tmp_path: Path) -> None:
    assert media.image(np.zeros(shape, np.uint8)) is None
    assert media.video(np.zeros((3, *shape), np.uint8), tmp_path, 10.0) is None


def test_a_video_has_every_picture(tmp_path: Path) -> None:
    frames = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.full((1, 4, 6, 3), 50, np.uint8)
    assert media.video(frames, tmp_path, 10.0) is not None
    with Image.open(tmp_path / "video.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (5, (6, 4), 100)  # type: ignore[attr-defined]


def test_a_histogram_counts_the_finite_values() -> None:
    made = media.histogram(np.array([0.0, 1.0, 1.0, np.nan, np.inf]))
    assert made is not None
    assert sum(made.histogram) == 3


def test_a_histogram_of_nothing_is_dropped() -> None:
    assert media.histogram(np.array([np.nan])) is None


def test_text_is_no_markup(tmp_path: Path) -> None:
    assert "&lt;b&gt;" in media.text("<b>").html
