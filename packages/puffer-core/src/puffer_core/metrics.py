"""Where metrics go: `metrics.jsonl`, which every run writes, and loggers that cannot hurt the run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import IO, Any

from puffer_core.contracts.logger import ArtifactKind, MetricLogger, RunInfo
from puffer_core.durable import replace_file

METRICS = "metrics.jsonl"
_FLUSH_SECONDS = 1.0


class JsonlLogger:
    """Writes `metrics.jsonl`: one JSON object a line, `step` first, then every metric in order of its name.

    Keys are fixed: every line has those of all lines before it, null where it has no value. A key that first
    appears later is in every line from there on. NaN and infinities are null, as JSON has neither. Lines reach
    the file at least once a second while metrics come, and on `close`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     logger = JsonlLogger()
        ...     run = RunInfo(id="r", directory=Path(place), trainer="t", source="e", config={}, unit="env_steps")
        ...     logger.open(run, None)
        ...     logger.log(8, {"loss": 0.5, "episode/return": float("nan")})
        ...     logger.close()
        ...     print((Path(place) / METRICS).read_text(), end="")
        {"step": 8, "episode/return": null, "loss": 0.5}
    """

    def __init__(self, config: Any = None) -> None:
        self._file: IO[str] | None = None
        self._keys: list[str] = []
        self._flushed = 0.0

    def open(self, run: RunInfo, last_step: int | None) -> None:
        """Start the file, or go on after `last_step`: lines beyond it, and one that was cut short, are removed."""
        path = run.directory / METRICS
        if last_step is not None and path.exists():
            self._keys = _rewind(path, last_step)
        self._file = path.open("a" if last_step is not None else "w", encoding="utf-8")
        self._flushed = monotonic()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line."""
        assert self._file is not None, "log before open"
        if not metrics.keys() <= set(self._keys):
            self._keys = sorted(metrics.keys() | set(self._keys))
        line: dict[str, float | None] = {"step": step}
        for key in self._keys:
            value = metrics.get(key)
            line[key] = value if value is not None and math.isfinite(value) else None
        self._file.write(json.dumps(line) + "\n")
        now = monotonic()
        if now - self._flushed >= _FLUSH_SECONDS:
            self._file.flush()
            self._flushed = now

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Dropped: a line of JSON has no room for it."""

    def sync(self) -> None:
        """Force what was logged to disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush, force to disk, and close."""
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None


def _rewind(path: Path, last_step: int) -> list[str]:
    """Keep the whole lines up to `last_step`; gives the keys that they fixed."""
    kept = [line for line in _lines(path) if json.loads(line)["step"] <= last_step]
    replace_file(path, "".join(line + "\n" for line in kept).encode())
    return [key for key in json.loads(kept[-1]) if key != "step"] if kept else []


def _lines(path: Path) -> list[str]:
    """Whole lines: text after the last newline was still being written."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`, null as NaN; a last line that is still being written is left out."""
    rows = [json.loads(line) for line in _lines(path)]
    return [{key: math.nan if value is None else value for key, value in row.items()} for row in rows]


class LoggerFanout:
    """Several loggers as one. One that raises (SystemExit too) is named in a warning and dropped.

    The queue that keeps a slow logger from holding up training has its place here.

    Args:
        loggers: by the name that people know them by.
        warn: takes the one line that says which logger was dropped, and why.
    """

    def __init__(self, loggers: Mapping[str, MetricLogger], warn: Callable[[str], None]) -> None:
        self._loggers = dict(loggers)
        self._warn = warn

    @property
    def names(self) -> Sequence[str]:
        """Those that still take metrics."""
        return tuple(self._loggers)

    def open(self, run: RunInfo, last_step: int | None) -> None:
        """Open every logger."""
        self._each("open", run, last_step)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand metrics to every logger."""
        self._each("log", step, metrics)

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Hand an artifact to every logger."""
        self._each("artifact", step, name, kind, value)

    def sync(self) -> None:
        """Force `metrics.jsonl` to disk."""
        for logger in self._loggers.values():
            if isinstance(logger, JsonlLogger):
                logger.sync()

    def close(self) -> None:
        """Close every logger."""
        self._each("close")

    def _each(self, method: str, *arguments: Any) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                getattr(logger, method)(*arguments)
            except (Exception, SystemExit) as error:  # noqa: BLE001  a logger must never end a run
                del self._loggers[name]
                self._warn(f"logger {name} was dropped: {method} raised {type(error).__name__}: {error}")
