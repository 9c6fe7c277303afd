"""The logger: one run of ours is one run of Weights & Biases, over all resumes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from puffer_core.contracts.logger import ArtifactKind, RunInfo
from puffer_core.errors import UsageError
from puffer_logger_wandb import media
from puffer_logger_wandb.config import WandbConfig
from puffer_logger_wandb.names import artifact_key, metric_key, run_id
from puffer_logger_wandb.rows import last_row
from puffer_logger_wandb.service import bound_exit, bounded, forget, is_gone, library
from puffer_logger_wandb.starting import Mode, choose_mode, has_key, settings

if TYPE_CHECKING:
    import wandb

_MARGIN = 10.0
"""Seconds that wandb has to end by itself, beyond those it was told, before its service is killed."""


class WandbLogger:
    """Logs to Weights & Biases; its files are in `wandb/` of the run's directory.

    The id there is made from the run's, wandb's step is ours, its config is the run's. A service that dies makes the
    call under way raise; the next call starts it anew, with the same id.

    Raises:
        UsageError: from `open`: `mode` is `online` and there is no key.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> logger = WandbLogger(WandbConfig(mode="disabled"))
        >>> with TemporaryDirectory() as place:
        ...     run = RunInfo(id="r", directory=Path(place), trainer="t", source="e", config={}, unit="env_steps")
        ...     logger.open(run, None)
        ...     logger.log(8, {"loss": 0.5})
        ...     logger.close()
    """

    def __init__(self, config: WandbConfig) -> None:
        self._config = config
        self._info: RunInfo | None = None
        self._mode: Mode = "disabled"
        self._run: wandb.Run | None = None
        self._last_step = -1
        self._row = -1

    def open(self, run: RunInfo, last_step: int | None) -> int | None:
        """Start the run there, or go on with it; gives the last step that is there, up to which nothing is logged.

        Nothing can be taken back there, so what an earlier process logged beyond `last_step` stays. The last row that
        it began may be lost: wandb writes a row when the next one begins.
        """
        self._info = run
        self._mode = choose_mode(self._config)
        if self._mode == "online" and not has_key(library().setup().settings):
            raise UsageError(
                "--logger.wandb.mode online: there is no API key",
                remedy="run `wandb login`, set WANDB_API_KEY, or leave the mode out",
            )
        there = last_row(run.directory, run_id(run.id)) if self._mode == "offline" else None
        started = self._started()
        if started is not None and self._mode == "online":
            there = started.starting_step - 1
        if there is None:
            there = -1 if last_step is None else last_step
        self._last_step = self._row = there
        return None if self._mode == "disabled" else there

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics in the row of `step`."""
        if step > self._last_step and metrics:
            self._write(step, {metric_key(key): media.number(value) for key, value in metrics.items()})

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Record an artifact in the row of `step`, or in the current one if that is later; files are copied."""
        run = self._started()
        if run is None or step <= self._last_step:
            return
        key = artifact_key(name)
        if kind == "file":
            self._save(run, step, key, Path(value))
            return
        with TemporaryDirectory() as folder:
            made = self._made(kind, value, Path(folder))
            if made is not None:
                self._write(max(step, self._row), {key: made})

    def close(self) -> None:
        """Finish: what is not yet sent, and could not be in time, stays in the run's directory."""
        run, self._run, self._info = self._run, None, None
        if run is not None:
            self._call(run.finish, seconds=self._config.finish_timeout + _MARGIN)

    def _started(self) -> wandb.Run | None:
        """The run there; None where nothing is to be done."""
        if self._run is None and self._mode != "disabled" and self._info is not None:
            seconds = self._config.init_timeout + 2 * _MARGIN
            try:
                self._run = self._call(self._start, self._info, seconds=seconds)
            except Exception as error:
                if not is_gone(error):
                    raise
                self._run = self._call(self._start, self._info, seconds=seconds)  # it was an earlier run's, and dead
            bound_exit(self._config.finish_timeout + _MARGIN)
        return self._run

    def _start(self, info: RunInfo) -> wandb.Run:
        config = self._config
        run: wandb.Run = library().init(
            dir=str(info.directory),
            id=run_id(info.id),
            resume="allow",
            project=config.project,
            entity=config.entity,
            group=config.group,
            job_type=config.job_type,
            name=config.name or info.id,
            notes=config.notes,
            tags=config.tags,
            config=dict(info.config),
            settings=settings(config, self._mode),
        )
        return run

    def _write(self, step: int, row: dict[str, Any]) -> None:
        run = self._started()
        if run is not None:
            self._call(run.log, row, step=step, seconds=self._config.call_timeout)
            self._row = max(self._row, step)

    def _save(self, run: wandb.Run, step: int, key: str, file: Path) -> None:
        """Each step's file has a place of its own, so that none is overwritten."""
        place = Path(run.dir) / "files" / key / str(step)
        place.mkdir(parents=True, exist_ok=True)
        copy = shutil.copy(file, place)
        self._call(run.save, str(copy), base_path=run.dir, policy="now", seconds=self._config.call_timeout)

    def _made(self, kind: ArtifactKind, value: Any, folder: Path) -> Any:
        match kind:
            case "image":
                return media.image(np.asarray(value))
            case "video":
                return media.video(np.asarray(value), folder, self._config.video_fps)
            case "histogram":
                return media.histogram(np.asarray(value))
            case "text":
                return media.text(value)
            case _:
                return None  # a kind that later versions add

    def _call(self, function: Callable[..., Any], *arguments: Any, seconds: float, **named: Any) -> Any:
        """Call wandb, no longer than this; if its service is gone, make room for a new one."""
        try:
            with bounded(seconds):
                return function(*arguments, **named)
        except Exception as error:
            if is_gone(error):
                self._run = None
                forget()
            raise
