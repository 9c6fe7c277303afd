"""When a run is saved, and which of its checkpoints stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

from puffer_core.checkpoint import step_name
from puffer_core.contracts.trainer import Trainer
from puffer_core.plan import RunOptions
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.record import RunRecord


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
    ) -> None:
        self._context, self._trainer, self._record, self._directory = context, trainer, record, directory
        self._options = options
        self._before_save, self._saved, self._warn = before_save, saved, warn
        self._last = last
        self._due_at = monotonic() + options.checkpoint_seconds

    def evaluated(self, step: int, mean_return: float) -> None:
        """The agent was evaluated at `step`, the present one."""

    def after_update(self, before: int, step: int) -> None:
        """Save if that is due after the update that went from `before` to `step`."""
        options = self._options
        by_clock = options.checkpoint_seconds > 0 and monotonic() >= self._due_at
        if by_clock or passed(options.checkpoint_every, before, step):
            self.save()

    def save(self) -> Path:
        """The checkpoint of the present step, written unless it is there already.

        Raises:
            ResourceError: it could not be written; older ones are untouched.
        """
        step = self._trainer.progress
        if self._last is None or self._last.name != step_name(step):
            self._before_save()
            self._last = persistence.save(self._context, self._trainer, self._record, self._directory)
            self._saved(step, self._last)
        self._due_at = monotonic() + self._options.checkpoint_seconds
        return self._last


def passed(every: int, before: int, step: int) -> bool:
    """Whether a multiple of `every` lies in `before < multiple <= step`; never where `every` is 0.

    Example:
        >>> passed(100, 90, 110), passed(100, 100, 110), passed(0, 90, 110)
        (True, False, False)
    """
    return every > 0 and step // every > before // every
