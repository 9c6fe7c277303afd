"""Artifacts as Weights & Biases takes them."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

if TYPE_CHECKING:
    import wandb

_CHANNELS = (1, 3, 4)


def number(value: Any) -> float:
    """A metric as a float, whatever array or tensor it stands in; NaN where it is not one number.

    Example:
        >>> number(np.float32(0.5)), number("high")
        (0.5, nan)
    """
    if hasattr(value, "detach"):
        value = value.detach()  # a tensor with a graph warns when it is made a float
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor with several elements
        return math.nan


def image(value: UInt8[np.ndarray, "height width channels"]) -> wandb.Image | None:
    """A picture; None for one without pixels or with another number of channels than 1, 3 or 4."""
    import wandb

    return wandb.Image(_picture(value)) if value.size and value.shape[-1] in _CHANNELS else None


def video(
    value: UInt8[np.ndarray, "time height width channels"], folder: Path, frames_a_second: float
) -> wandb.Video | None:
    """A video, written into `folder` as a GIF; None for one that cannot be shown, as in `image`.

    wandb makes videos of arrays with moviepy and an ffmpeg; pillow, which pictures need anyway, writes GIFs.
    """
    import wandb

    if not value.size or value.shape[-1] not in _CHANNELS:
        return None
    first, *others = (_picture(frame) for frame in value)
    path = folder / "video.gif"
    first.save(path, save_all=True, append_images=others, duration=round(1000 / frames_a_second), loop=0)
    return wandb.Video(str(path), format="gif")


def histogram(value: Shaped[np.ndarray, "..."]) -> wandb.Histogram | None:
    """Counts of the finite values in 64 bins; None if there is none."""
    import wandb

    finite = np.asarray(value, np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    return wandb.Histogram(np_histogram=np.histogram(finite, bins=64)) if finite.size else None


def text(value: str) -> wandb.Html:
    """Text as it is: nothing in it is markup."""
    import wandb

    return wandb.Html(f"<pre>{html.escape(value)}</pre>", inject=False)


def _picture(value: UInt8[np.ndarray, "height width channels"]) -> Image.Image:
    return Image.fromarray(value[..., 0] if value.shape[-1] == 1 else value)
