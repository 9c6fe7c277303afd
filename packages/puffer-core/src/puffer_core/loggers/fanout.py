"""All loggers of a run as one: `metrics.jsonl`, and behind queues whoever else wants its metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from puffer_core.contracts.logger import ArtifactKind, MetricLogger, RunInfo
from puffer_core.loggers.jsonl import METRICS, JsonlLogger, iterate_metrics
from puffer_core.loggers.marks import Marks
from puffer_core.loggers.numbers import plain_numbers
from puffer_core.loggers.queue import Limits, QueuedLogger

_NOTICE_SECONDS = 5.0


class RunLoggers:
    """Writes `metrics.jsonl`, the truth, and feeds every other logger from a queue in a thread of its own.

    Nothing that a logger does reaches the run: one that raises is tried again, then dropped; one that hangs is left to
    itself. What they did not take is counted in `metrics()`.

    Args:
        loggers: by the name that people know them by, beside `metrics.jsonl`.
        directory: of the run; `metrics.jsonl` and `loggers.json` are here.
        warn: takes one line that somebody should read. Called from within the methods here, never from a thread.
        limits: of each queue.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     info = RunInfo(id="r", directory=Path(place), trainer="t", source="e", config={}, unit="env_steps")
        ...     loggers = RunLoggers({}, Path(place), print)
        ...     loggers.open(info, None)
        ...     loggers.log(8, {"loss": 0.5})
        ...     loggers.close()
        ...     print((Path(place) / METRICS).read_text(), end="")
        {"step": 8, "loss": 0.5}
    """

    def __init__(
        self,
        loggers: Mapping[str, MetricLogger],
        directory: Path,
        warn: Callable[[str], None],
        *,
        limits: Limits = Limits(),  # noqa: B008  frozen
    ) -> None:
        self._directory, self._warn, self._limits = directory, warn, limits
        self._told: deque[str] = deque()
        self._refused: dict[str, str] = {}
        self._disk_failed = self._refusal_told = False
        self._marks = Marks(directory, self._told.append)
        self._jsonl = JsonlLogger()
        self._queues = [
            QueuedLogger(name, logger, self._told.append, self._marks.put, limits) for name, logger in loggers.items()
        ]

    @property
    def names(self) -> Sequence[str]:
        """Those behind a queue that still take metrics."""
        return tuple(queue.name for queue in self._queues if queue.alive)

    def open(self, run: RunInfo, last_step: int | None) -> None:
        """Open every logger, in its thread; after a resume each is given what it lacks up to `last_step`.

        Args:
            run: what they are told of it.
            last_step: the last one that was logged when the run was saved; None for a new run.

        Raises:
            ResourceError: `metrics.jsonl` cannot be written.
        """
        self._jsonl.open(run, last_step)
        if self._jsonl.lost:
            self._told.append(f"warning: {self._jsonl.lost}")
        marks = {} if last_step is None else self._marks.read()
        for queue in self._queues:
            mark = marks.get(queue.name)
            taken = None if mark is None or last_step is None else min(mark, last_step)
            queue.open(run, taken, lambda after: self._lines(after, last_step))
        self._tell()

    def log(self, step: int, metrics: Mapping[Any, Any]) -> None:
        """Hand metrics of a step to every logger. Nothing of `metrics` is kept: values become floats at once."""
        plain = plain_numbers(metrics, self._refused)
        self._jsonl.log(step, plain)
        if self._queues:
            now = monotonic()
            for queue in self._queues:
                queue.log(step, plain)
                queue.check_time(now)
        if self._told or self._refused or self._jsonl.failure is not None:
            self._tell()

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Hand an artifact to every logger; its value is not changed any more."""
        for queue in self._queues:
            queue.artifact(step, name, kind, value)
        self._tell()

    def sync(self) -> None:
        """Force `metrics.jsonl` to disk, and let each logger's mark be kept as soon as it has taken what was logged."""
        try:
            self._jsonl.sync()
        except OSError as error:
            self._jsonl.failure = error
        for queue in self._queues:
            queue.keep_mark()
        self._tell()

    def metrics(self) -> dict[str, float]:
        """`logger/NAME/dropped`: what a logger never took; `jsonl` is `metrics.jsonl`."""
        dropped = {"jsonl": self._jsonl.dropped, **{queue.name: queue.dropped for queue in self._queues}}
        return {f"logger/{name}/dropped": float(count) for name, count in dropped.items()}

    def close(self, within: float | None = None) -> None:
        """Write everything, wait a while for loggers that are not done, and leave those to themselves that hang.

        Args:
            within: seconds to wait, where that is less than the limits say.
        """
        wait = self._limits.close if within is None else min(within, self._limits.close)
        for queue in self._queues:
            queue.finish()
        try:
            self._jsonl.close()
        except OSError as error:
            self._told.append(f"{METRICS} is incomplete: {error}; {self._jsonl.dropped} lines were lost")
        began = monotonic()
        for queue in self._queues:
            if not queue.join(began + min(_NOTICE_SECONDS, wait)):
                self._told.append(f"waiting for logger {queue.name}, {wait:g} s at most")
                self._tell()
        for queue in self._queues:
            if not queue.join(began + wait):
                queue.leave(wait)
        self._tell()

    def _lines(self, after: int, last_step: int | None) -> Iterator[tuple[int, dict[str, float]]]:
        """What stands in `metrics.jsonl` from before this process."""
        if last_step is None:
            return
        for step, metrics in iterate_metrics(self._directory / METRICS):
            if step > last_step:
                return
            if step > after:
                yield step, metrics

    def _tell(self) -> None:
        failure = self._jsonl.failure
        if failure is not None and not self._disk_failed:
            self._told.append(f"{METRICS} cannot be written now ({failure}): lines wait in memory, training goes on")
        self._disk_failed = failure is not None
        if self._refused and not self._refusal_told:
            name, kind = next(iter(self._refused.items()))
            self._told.append(
                f"the metric {name!r} is no number but of type {kind}, and is left out, as others will be"
            )
            self._refusal_told = True
        self._refused.clear()
        while self._told:
            self._warn(self._told.popleft())
