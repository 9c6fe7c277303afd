"""When a run is saved, and what becomes of a save that fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from puffer_core.checkpoints.reading import remove_leftovers, step_name, step_of
from puffer_core.contracts.trainer import Metrics, Trainer
from puffer_core.errors import ResourceError, did_you_mean
from puffer_core.plan import RunOptions
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.kept import KeptCheckpoints
from puffer_core.run.record import RunRecord

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts of a save that fails; each pause is twice the one before."""


class Saver:
    """Saves a run where it is due: by steps, by the clock, at a good evaluation, at the end.

    Args:
        context: of the run.
        trainer: likewise.
        record: likewise.
        directory: where it lives.
        options: how often, and what stays.
        before_save: called before each save: what a checkpoint vouches for has to be on disk by then.
        saved: called with the step and path of each new checkpoint.
        warn: takes a line about a save that failed, and will be tried again.
        last: the checkpoint that the run goes on from.
        clock: seconds from any point on, never set back: what the wall clock does plays no part.
    """

    def __init__(
        self,
        context: RunContext,
        trainer: Trainer,
        record: RunRecord,
        directory: RunDirectory,
        *,
        options: RunOptions,
        before_save: Callable[[], object],
        saved: Callable[[int, Path], object],
        warn: Callable[[str], object],
        last: Path | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._context, self._trainer, self._record, self._directory = context, trainer, record, directory
        self._options, self._clock = options, clock
        self._before_save, self._saved, self._warn = before_save, saved, warn
        remove_leftovers(directory.checkpoints)
        self._last = last
        self._outdated = False
        self._kept = KeptCheckpoints(directory.checkpoints, options, step_of(last) if last else None)
        self._score: tuple[int, float] | None = None
        self._good_at = -1
        self._due_at = clock() + options.checkpoint_seconds
        self._retry_at: float | None = None
        self._pause = 0.0
        self._failures, self._blocked = 0, 0.0
        self._cannot_remove = self._metric_is_missing = False

    def judge(self, step: int, metrics: Metrics) -> None:
        """Take the score of `step`, the present one, from its metrics.

        `after_update` saves a step whose evaluation is one of the best. Other metrics come with every update, and
        choose among the checkpoints that are saved anyway.
        """
        name = self._options.best_metric.removeprefix("-")
        score = metrics.get(name, math.nan)
        if name not in metrics and name != "eval/return" and not self._metric_is_missing:
            self._metric_is_missing = True
            self._warn(f"warning: --best-metric: this run has no metric {name}. {did_you_mean(name, metrics)}")
        if not math.isfinite(score):
            return
        score = score if name == self._options.best_metric else -score
        self._score = (step, score)
        if name.startswith("eval/"):
            self._outdated = self._last is not None and self._last.name == step_name(step)
            if self._kept.would_be_among_best(step, score):
                self._good_at = step

    def after_update(self, before: int, step: int) -> None:
        """Save if that is due after the update that went from `before` to `step`.

        A save that fails is told once and tried again at later updates, after longer and longer pauses.
        """
        if not self._is_due(before, step):
            return
        try:
            self.save()
        except ResourceError as error:
            self._put_off(error)

    def _is_due(self, before: int, step: int) -> bool:
        if self._retry_at is not None:
            return self._clock() >= self._retry_at
        options = self._options
        by_clock = options.checkpoint_seconds > 0 and self._clock() >= self._due_at
        return by_clock or passed(options.checkpoint_every, before, step) or self._good_at == step

    def _put_off(self, error: ResourceError) -> None:
        if self._retry_at is None:
            last = f"the last checkpoint is {self._last.name}" if self._last else "nothing is saved yet"
            self._warn(f"warning: {error.message}. Training goes on, and saving is tried again; {last}")
        self._failures += 1
        self._pause = min(2.0 * self._pause, _LONGEST_PAUSE) or _SHORTEST_PAUSE
        self._retry_at = self._clock() + self._pause

    def save(self) -> Path:
        """The checkpoint of the present step, written unless it is there already.

        Raises:
            CheckpointError: a component's state holds something else than arrays and JSON values.
            ResourceError: it could not be written; older ones are untouched.
        """
        step = self._trainer.progress
        path = self._last
        if path is None or path.name != step_name(step) or self._outdated:
            began = self._clock()
            try:
                path = self._last = self._write(step)
            finally:
                self._blocked += self._clock() - began
            self._saved(step, path)
        if self._retry_at is not None:
            self._warn(f"{path}: saved, after {self._failures} attempts that failed in this run")
            self._retry_at, self._pause = None, 0.0
        self._due_at = self._clock() + self._options.checkpoint_seconds
        return path

    def _write(self, step: int) -> Path:
        """A new checkpoint; then those go that are not to stay."""
        self._directory.check_there()
        self._before_save()
        score = self._score[1] if self._score and self._score[0] == step else None
        path = persistence.save(
            self._context, self._trainer, self._record, self._directory, score=score, replace=self._outdated
        )
        self._outdated = False
        self._kept.add(step, score)
        try:
            self._kept.trim()
        except ResourceError as error:
            if not self._cannot_remove:
                self._warn(f"warning: {error.message}. More checkpoints stay than were asked for")
            self._cannot_remove = True
        return path

    def metrics(self) -> Metrics:
        """Seconds that saving took since the last call, and how many attempts failed in this process."""
        blocked, self._blocked = self._blocked, 0.0
        return {"time/save": blocked, "system/saves_failed": float(self._failures)}


def passed(every: int, before: int, step: int) -> bool:
    """Whether a multiple of `every` lies in `before < multiple <= step`; never where `every` is 0.

    Example:
        >>> passed(100, 90, 110), passed(100, 100, 110), passed(0, 90, 110)
        (True, False, False)
    """
    return every > 0 and step // every > before // every
