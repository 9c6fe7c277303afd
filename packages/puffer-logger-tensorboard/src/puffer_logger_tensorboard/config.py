"""Options of the TensorBoard logger."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class TensorBoardConfig(BaseModel):
    """What is written for TensorBoard.

    Example:
        >>> TensorBoardConfig(video_fps=15).video_fps
        15
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hyperparameters: bool = True
    """Write the run's configuration for TensorBoard's HParams tab."""
    histogram_bins: Annotated[int, Field(ge=1, le=1000)] = 30
    """Buckets of a histogram, of equal width. More: finer, and longer event files."""
    video_fps: Annotated[int, Field(ge=1, le=50)] = 25
    """Frames a second that videos are shown at; the pause between frames is rounded to hundredths of a second."""
    sync_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """At most this long, while metrics come, until events are forced to disk and survive a power loss. A crash of
    the process loses nothing either way. 0: force every step."""
