"""`metrics.jsonl`: the record of a run that every other logger is fed from."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from puffer_core.contracts.logger import ArtifactKind, RunInfo
from puffer_core.durable import replace_file
from puffer_core.errors import CheckpointError, ResourceError

METRICS = "metrics.jsonl"
_PAUSE = 0.2
"""Seconds between two looks of the writing thread: one wake-up for many lines costs training least."""
_BATCH = 256
_LARGEST = sys.float_info.max


class JsonlLogger:
    """Writes `metrics.jsonl`: one JSON object a line, `step` first, then every metric in order of its name.

    Keys are fixed: every line has those of all lines before it, null where it has no value. A key that first
    appears later is in every line from there on. NaN and infinities are null, as JSON has neither.

    `log` only puts the line aside; a thread writes it within a second, `sync` and `close` write it at once. No line is
    dropped for want of speed: where more than `most` wait, `log` writes them itself. Where the disk takes none, they
    wait, and those beyond `most` are dropped and counted.

    Args:
        config: none.
        most: lines that may wait, about 2 kB each.

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

    def __init__(self, config: Any = None, *, most: int = 10_000) -> None:
        self.dropped = 0
        """Lines that the disk did not take, and memory had no room for."""
        self.failure: OSError | None = None
        """Why the last attempt to write failed; None where it did not."""
        self.lost = ""
        """What is to be said of lines that should have been there when the file was opened; empty where all are."""
        self._most = most
        self._waiting: deque[tuple[int, Mapping[str, float]]] = deque()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._file: _WholeLines | None = None
        self._keys: list[str] = []
        self._known: set[str] = set()

    def open(self, run: RunInfo, last_step: int | None) -> None:
        """Start the file, or go on after `last_step`: lines beyond it, and those that cannot be read, are removed.

        Raises:
            ResourceError: the file cannot be written.
        """
        path = run.directory / METRICS
        try:
            self._keys, self.lost = ([], "") if last_step is None else _cut_back(path, last_step)
            self._file = _WholeLines(path, new=last_step is None)
        except OSError as error:
            raise ResourceError(
                f"{path}: cannot be written: {error.strerror}", remedy="make room, or make it writable"
            ) from error
        self._known = set(self._keys)
        self._closing.clear()
        threading.Thread(target=self._write_now_and_then, name=METRICS, daemon=True).start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Put a line aside. The values are floats and ints; the mapping is not changed any more."""
        assert self._file is not None, "log before open"
        if len(self._waiting) >= self._most and not self._make_room():
            self.dropped += 1
            return
        self._waiting.append((step, metrics))

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Dropped: a line of JSON has no room for it."""

    def sync(self) -> None:
        """Write what was logged, and force it to disk.

        Raises:
            OSError: the disk does not take it; it is kept, and tried again.
        """
        with self._writing:
            if self._file is not None:
                self._write()
                self._file.sync()

    def close(self) -> None:
        """Write what was logged, force it to disk, and close the file.

        Raises:
            OSError: the disk does not take it; what was not written is dropped and counted.
        """
        self._closing.set()
        with self._writing:
            if self._file is None:
                return
            file, self._file = self._file, None
            try:
                self._write_to(file)
                file.sync()
            finally:
                self.dropped += len(self._waiting)
                self._waiting.clear()
                file.close()

    def _write_now_and_then(self) -> None:
        while not self._closing.wait(_PAUSE):
            self._make_room()

    def _make_room(self) -> bool:
        """Write what waits; whether that went well. What did not is in `failure`."""
        with self._writing:
            try:
                self._write()
            except OSError:
                return False
        return True

    def _write(self) -> None:
        if self._file is not None:
            self._write_to(self._file)

    def _write_to(self, file: _WholeLines) -> None:
        """Lines leave `_waiting` when they are in the file, and not before."""
        try:
            while batch := list(islice(self._waiting, _BATCH)):
                file.append("".join(map(self._line, batch)).encode())
                for _ in batch:
                    self._waiting.popleft()
        except OSError as error:
            self.failure = error
            raise
        self.failure = None

    def _line(self, logged: tuple[int, Mapping[str, float]]) -> str:
        step, metrics = logged
        if not self._known.issuperset(metrics):
            self._known.update(metrics)
            self._keys = sorted(self._known)
        line: dict[str, float | None] = {"step": step}
        for key in self._keys:
            value = metrics.get(key, math.nan)
            line[key] = value if -_LARGEST <= value <= _LARGEST else None
        return json.dumps(line) + "\n"


class _WholeLines:
    """A file whose end is always the end of a line: what could not be written leaves nothing of itself behind."""

    def __init__(self, path: Path, *, new: bool) -> None:
        self._file = path.open("wb" if new else "ab", buffering=0)
        self._size = self._file.seek(0, os.SEEK_END)

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise
        self._size += len(data)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _cut_back(path: Path, last_step: int) -> tuple[list[str], str]:
    """Leave the lines up to `last_step` that can be read; gives the keys that they fixed, and what is to be said.

    Needs no room on the disk, unless lines in between are damaged.
    """
    if not path.exists():
        return [], f"{METRICS} is gone: it goes on after step {last_step:,}"
    here = end = unreadable = between = 0
    keys, step = list[str](), -1
    with path.open("r+b") as file:
        for line, row in _up_to(last_step, file):
            here += len(line)
            if row is None:
                unreadable += 1
            else:
                end, between, step, keys = here, unreadable, row["step"], [key for key in row if key != "step"]
        file.truncate(end)
        os.fsync(file.fileno())
        if between:
            file.seek(0)
            replace_file(path, b"".join(line for line, row in _up_to(last_step, file) if row is not None))
    told = [f"lines that could not be read, and were removed: {between}; the others stay"] if between else []
    if step < last_step:
        told.append(f"of its lines up to step {last_step:,} those after step {max(step, 0):,} are lost")
    return keys, f"{METRICS}: {'; '.join(told)}" if told else ""


def _up_to(last_step: int, lines: Iterable[bytes]) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Each line with what it says; None where that cannot be read."""
    for line in lines:
        row = _row(line)
        if row is not None and row["step"] > last_step:
            return
        yield line, row


def _row(line: bytes) -> dict[str, Any] | None:
    """None for a line that was cut short, or that a loss of power or a stray hand left as rubbish."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def iterate_metrics(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Step and metrics of each line of a `metrics.jsonl`, null as NaN; a last line that is half written is left out.

    Raises:
        CheckpointError: another line cannot be read.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            row = _row(line)
            if row is not None:
                yield row.pop("step"), {key: math.nan if value is None else value for key, value in row.items()}
            elif line.endswith(b"\n"):
                raise CheckpointError(
                    f"{path}: line {number} is no JSON object with a step",
                    remedy="`puffer report` leaves such lines out; a run that is resumed removes them",
                )


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`, null as NaN; a last line that is still being written is left out.

    Raises:
        CheckpointError: another line cannot be read.
    """
    return [{"step": step, **metrics} for step, metrics in iterate_metrics(path)]
