"""What runs there are in a directory, and how each stands: read from its files, none of which is changed."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from puffer_core.checkpoints.inventory import size, written_at
from puffer_core.checkpoints.reading import CHECKPOINTS, completed, step_of
from puffer_core.errors import CheckpointError
from puffer_core.loggers.jsonl import METRICS
from puffer_core.plugins.faults import describe
from puffer_core.run.directory import CONFIG, LOCK, Run

Status: TypeAlias = Literal["running", "finished", "stopped", "failed", "unknown", "damaged"]
"""`running`: a process holds it. `finished`: saved where it was to end. `stopped`: saved at its last update, before
that, or before an evaluation that is due. `failed`: what it did after its last checkpoint is lost. `unknown`: it never
got as far as a checkpoint or an update."""

_TAIL = 1 << 20
_RETURN = "episode/return"
_EVALUATED = re.compile(rb'"eval/return": (-?[0-9][0-9.eE+-]*)[,}]')  # parsing every line takes seconds for 500 runs


@dataclass(frozen=True)
class Overview:
    """One run.

    Args:
        path: its directory.
        status: how it stands.
        began: when its `config.json` was written, in seconds since 1970.
        bytes: of all its files.
        env: what it learns from.
        trainer: that trains it.
        seed: of the run; None where it is not known.
        step: of its last update, or of its last checkpoint where that is later.
        total_steps: where it ends; None where it is not known.
        best_return: the highest mean return of an evaluation in the last MiB of its metrics; None where there is none.
        last_return: mean return of the training episodes that ended last; None likewise.
        reason: what is damaged.
    """

    path: Path
    status: Status
    began: float
    bytes: int
    env: str = ""
    trainer: str = ""
    seed: int | None = None
    step: int = 0
    total_steps: int | None = None
    best_return: float | None = None
    last_return: float | None = None
    reason: str = ""


def runs(directory: Path) -> list[Overview]:
    """The runs in a directory and in the directories of many seeds in it, newest first.

    What is no run, or may not be looked into, is left out.

    Of a run's own directory, that run.

    Raises:
        CheckpointError: there is no such directory.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     runs(Path(place))
        []
    """
    try:
        found = [overview(path) for path in _run_directories(directory)]
    except OSError as error:
        raise CheckpointError(
            f"{directory}: cannot be listed: {error.strerror or error}", remedy="name a directory that has runs in it"
        ) from error
    return sorted(found, key=lambda run: (run.began, run.path.name), reverse=True)


def _run_directories(directory: Path) -> Iterator[Path]:
    if is_run(directory):
        yield directory
        return
    for path in _directories(directory):
        if _seems_run(path):
            yield path
        else:
            yield from (below for below in _readable(path) if _seems_run(below))


def _directories(directory: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(directory) if entry.is_dir())


def _readable(directory: Path) -> list[Path]:
    try:
        return _directories(directory)
    except OSError:
        return []


def _seems_run(path: Path) -> bool:
    try:
        return is_run(path)
    except OSError:
        return False


def is_run(path: Path) -> bool:
    """Whether a directory is a run's, damaged or not."""
    return any((path / name).exists() for name in (CONFIG, METRICS, CHECKPOINTS))


def overview(path: Path) -> Overview:
    """How a run stands. Damage is told, never raised."""
    began, used = written_at(path / CONFIG, path), size(path.resolve())
    try:
        config = Run(path).config
        lines, evaluated = _tail(path / METRICS)
        total = _integer(config.get("total_steps"))
        saved = max((step_of(item) or 0 for item in completed(path / CHECKPOINTS)), default=None)
    except (CheckpointError, OSError, ValueError) as error:
        reason = f"{path / METRICS}: {error}" if isinstance(error, ValueError) else describe(error)
        reason = error.message if isinstance(error, CheckpointError) else reason
        return Overview(path, "damaged", began, used, reason=reason)
    logged = lines[-1]["step"] if lines else None
    return Overview(
        path,
        "running" if is_held(path) else _ended(saved, logged, total, config.get("target_return"), evaluated),
        began,
        used,
        env=str(config.get("source", "")),
        trainer=str(config.get("trainer", "")),
        seed=config.get("seed"),
        step=max(saved or 0, logged or 0),
        total_steps=total,
        best_return=max(evaluated, default=None),
        last_return=next(reversed(_values(lines, _RETURN)), None),
    )


def is_held(path: Path) -> bool:
    """Whether a process holds a run: no shared lock, let go at once, can be had.

    Lookers do not disturb each other; a run that starts in the very moment of the look finds it held.
    """
    try:
        with (path / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _ended(saved: int | None, logged: int | None, total: int | None, target: Any, evaluated: list[float]) -> Status:
    if saved is None and logged is None:
        return "unknown"
    if saved is None or saved < (logged or 0):  # killed, or it raised
        return "failed"
    if logged is None or saved > logged:  # before its first update, or before an evaluation that was due
        return "stopped"
    reached = isinstance(target, (int, float)) and bool(evaluated) and evaluated[-1] >= target
    return "finished" if reached or (total is not None and saved >= total) else "stopped"


def _tail(path: Path) -> tuple[list[dict[str, Any]], list[float]]:
    """The last ten whole lines, and every evaluated return of the last MiB.

    Raises:
        ValueError: one of those lines is no JSON object with a step.
    """
    if not path.exists():
        return [], []
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
        file.seek(start)
        text = file.read(_TAIL)
    whole = text.split(b"\n")[:-1]
    whole = whole[1:] if start else whole
    return [_line(line) for line in whole[-10:]], [float(value) for value in _EVALUATED.findall(text)]


def _line(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it has a line that is no JSON: {text[:60]!r}") from error
    if not isinstance(line, dict) or not isinstance(line.get("step"), int):
        raise ValueError(f"it has a line without a step: {text[:60]!r}")
    return line


def _values(lines: list[dict[str, Any]], key: str) -> list[float]:
    found = (line.get(key) for line in lines)
    return [float(value) for value in found if isinstance(value, (int, float)) and math.isfinite(value)]


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None
