"""TensorBoardLogger: the MetricLogger that writes event files."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

from puffer_core.contracts.logger import ArtifactKind, RunInfo
from puffer_logger_tensorboard import summaries
from puffer_logger_tensorboard.config import TensorBoardConfig
from puffer_logger_tensorboard.files import EventFile, keep_up_to

DIRECTORY = "tensorboard"


class TensorBoardLogger:
    """Writes event files under `RUN/tensorboard`, which `tensorboard --logdir RUN` shows.

    A resumed run goes on in the same directory, in a new file; what was written beyond `last_step` is removed, and
    a TensorBoard that is looking is told to forget it.

    Args:
        config: what is written; all defaults where it is None.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as place:
        ...     logger = TensorBoardLogger()
        ...     run = RunInfo(id="r", directory=Path(place), trainer="t", source="e", config={}, unit="env_steps")
        ...     _ = logger.open(run, None)
        ...     logger.log(8, {"loss": 0.5})
        ...     logger.close()
        ...     len(list(Path(place, "tensorboard").iterdir()))
        1
    """

    def __init__(self, config: TensorBoardConfig | None = None) -> None:
        self._config = config or TensorBoardConfig()
        self._file: EventFile | None = None
        self._synced = 0.0

    def open(self, run: RunInfo, last_step: int | None) -> int | None:
        """Start a file after `last_step`; a new run finds nothing of an old one in its directory.

        Returns:
            The last step that is there, which is before `last_step` where a loss of power took events.
        """
        directory = run.directory / DIRECTORY
        directory.mkdir(parents=True, exist_ok=True)
        there = keep_up_to(directory, -1 if last_step is None else last_step)
        self._file = EventFile(directory)
        self._file.append(
            Event(step=0 if there is None else there + 1, session_log=SessionLog(status=SessionLog.START))
        )
        if self._config.hyperparameters and there is None:
            self._write(0, summaries.hyperparameters(run.config, run.id))
        self._synced = monotonic()
        return -1 if there is None else there

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write one event that has every metric: a step is there as a whole, or not at all."""
        self._write(step, summaries.scalars(metrics))

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Write an image as PNG, a video as GIF, a histogram or a text; a `file` is dropped.

        Raises:
            ShapeError: an image or a video is not uint8 with the axes that the contract says.
        """
        if kind == "image":
            pixels = summaries.pixels(name, value, ("height", "width", "channels"))
            self._write(step, summaries.image(name, pixels))
        elif kind == "video":
            pixels = summaries.pixels(name, value, ("time", "height", "width", "channels"))
            self._write(step, summaries.video(name, pixels, self._config.video_fps))
        elif kind == "histogram":
            values = np.asarray(summaries.detached(value))
            self._write(step, summaries.histogram(name, values, self._config.histogram_bins))
        elif kind == "text":
            self._write(step, summaries.text(name, value))

    def close(self) -> None:
        """Force everything to disk and close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _write(self, step: int, summary: Summary) -> None:
        assert self._file is not None, "log before open"
        if not summary.value:
            return
        self._file.append(Event(step=step, summary=summary))
        now = monotonic()
        if now - self._synced >= self._config.sync_seconds:
            self._file.sync()
            self._synced = now
