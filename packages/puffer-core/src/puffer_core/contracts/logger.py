"""MetricLogger: where metrics go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

ArtifactKind: TypeAlias = Literal["image", "video", "histogram", "text", "file"]


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A run, as loggers and event hooks see it.

    Args:
        id: the run's name, unique and stable over resumes.
        directory: where it lives.
        trainer: name of its trainer.
        source: the env id or dataset it learns from.
        config: the resolved configuration, JSON values only.
        unit: what steps count.
    """

    id: str
    directory: Path
    trainer: str
    source: str
    config: Mapping[str, Any]
    unit: str


@runtime_checkable
class MetricLogger(Protocol):
    """Takes metrics to a place people look at; built as `target(config)`.

    It is behind a queue, and every call comes from one thread, which is not the main one: it may be slow, raise or
    hang, and training is not touched. `metrics.jsonl`, which core always writes, is the truth that it is fed from.
    """

    def open(self, run: RunInfo, last_step: int | None) -> int | None:
        """Start, or go on after a resume.

        What comes next are the steps beyond `last_step`, first those that an earlier process logged before the
        checkpoint that the run goes on from, read back from `metrics.jsonl`, then new ones.

        Args:
            run: what is logged.
            last_step: everything up to it was taken before. None: nothing was, as in a new run. What the logger has
                beyond it was logged by a process that ended before it was saved: a logger that can, removes that.

        Returns:
            None, where it has exactly the steps up to `last_step` now. Else the last step that it has: a later one
            where it can only append (what is logged up to there is kept from it), an earlier one where it lost some.
        """
        ...

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics of one step; the mapping is the logger's own. Steps never go back within a run."""
        ...

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Record something that is not a number.

        `image` is uint8 `[height, width, channels]`, `video` uint8 `[time, height, width, channels]`,
        `histogram` a 1-d float array, `text` a string, `file` a path. A kind that the place has no room for is dropped.
        """
        ...

    def close(self) -> None:
        """Flush and free everything. Safe to call twice."""
        ...
