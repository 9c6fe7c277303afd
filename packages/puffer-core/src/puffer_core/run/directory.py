"""The directory of a run: made, locked and written by the process that trains; read by everyone else."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shlex
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from puffer_core.checkpoints.reading import CHECKPOINTS, completed, remove_leftovers
from puffer_core.durable import append_line, json_bytes, make_directory, parse_json, replace_file
from puffer_core.errors import CheckpointError, ResourceError, UsageError
from puffer_core.evaluation import Evaluation
from puffer_core.loggers.jsonl import METRICS, read_metrics

CONFIG, PLUGINS, LOCK = "config.json", "plugins.json", "run.lock"
VECTOR = "vector.json"
"""What `--vector.mode auto` became: `config.json` keeps what was asked for, and so holds on another machine."""
RESUMES = "resumes.jsonl"
"""A line each time the run was resumed: when, from which checkpoint, what changed, which versions."""
WORKERS = "workers.json"
"""Pids of the process that trains and of those that step environments for it, while it does."""


def new_name(trainer: str, source: str) -> str:
    """A fresh name for a run: local time, trainer, what it learns from, four random digits.

    Example:
        >>> new_name("ppo", "gymnasium:CartPole-v1")[15:-4]
        '_ppo_gymnasium-cartpole-v1_'
    """
    now = datetime.now().astimezone()
    return f"{now:%Y-%m-%d_%H%M}_{_plain(trainer)}_{_plain(source)}_{secrets.token_hex(2)}"


def _plain(name: str) -> str:
    """Safe in every file system and shell, and short enough for any."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:40] or "run"


class RunDirectory:
    """A run's directory while this process holds it. A context manager: leaving releases the lock.

    Args:
        path: of the directory; empty for a new one under `runs/`.
        trainer: name of the trainer, for a new name.
        source: what it learns from, likewise.

    Raises:
        UsageError: `path` is a file, or a directory with something in it.
        ResourceError: the directory cannot be made, or another process holds it.
    """

    def __init__(self, path: str | Path, trainer: str, source: str) -> None:
        self.path = _with_name(Path(path)) if str(path) else Path("runs") / new_name(trainer, source)
        self._new = not self.path.exists()
        self._workers: list[int] = []
        _make_empty(self.path)
        self._lock: IO[str] | None = hold(self.path)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / CHECKPOINTS

    def check_there(self) -> None:
        """Nothing is written into what only has the name of the run's directory.

        Raises:
            ResourceError: the directory was removed or moved away, and perhaps another made in its place.
        """
        if not (self.path / CONFIG).exists():
            raise ResourceError(
                f"{self.path}: the run's directory was removed or moved away",
                remedy="bring it back while the run lasts, and it is saved there",
            )

    def describe(self, config: Mapping[str, Any], plugins: Sequence[Mapping[str, Any]]) -> None:
        """Write `config.json` and `plugins.json`."""
        replace_file(self.path / CONFIG, json_bytes(dict(config)))
        replace_file(self.path / PLUGINS, json_bytes(list(plugins)))

    def keep_vector(self, choice: Mapping[str, Any]) -> None:
        """Write `vector.json`."""
        replace_file(self.path / VECTOR, json_bytes(dict(choice)))

    def forget_vector(self) -> None:
        """Remove `vector.json`, which does not hold any more."""
        (self.path / VECTOR).unlink(missing_ok=True)

    def keep_resume(self, entry: Mapping[str, Any]) -> None:
        """Add a line to `resumes.jsonl`."""
        try:
            append_line(self.path / RESUMES, json.dumps(entry, sort_keys=True).encode())
        except OSError as error:
            raise _not_writable(self.path, error) from error

    def keep_workers(self, pids: Sequence[int]) -> None:
        """Write `workers.json`, if there are other workers than before; where the disk is full, at a later call."""
        if list(pids) != self._workers:
            with suppress(OSError):  # who looks at the processes can do without it, training cannot end for it
                replace_file(self.path / WORKERS, json_bytes({"main": os.getpid(), "workers": list(pids)}))
                self._workers = list(pids)

    def keep_no_workers(self) -> None:
        """Remove `workers.json`: its processes end with this one."""
        with suppress(OSError):  # a disk that is read-only by now; how the run ended matters more
            (self.path / WORKERS).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._lock is not None:
            self.keep_no_workers()
            self._lock.close()  # the kernel drops the lock with the descriptor, also when the process is killed
            self._lock = None
        if not (self.path / METRICS).exists():
            self._discard()

    def _discard(self) -> None:
        """Leave nothing behind of a run that failed before it began."""
        for name in (CONFIG, PLUGINS, VECTOR, LOCK):
            (self.path / name).unlink(missing_ok=True)
        if self._new:
            with suppress(OSError):  # something else was put there
                self.path.rmdir()


class ExistingRun(RunDirectory):
    """The directory of a run that is there already, while this process holds it; leaving removes nothing of it.

    Args:
        path: of the directory.

    Raises:
        CheckpointError: it does not hold a run.
        ResourceError: another process holds it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        Run(path)  # nothing is written into a directory that is something else
        self.path = _with_name(path)
        self._workers = []
        self._lock = hold(path)
        remove_leftovers(self.checkpoints)

    def _discard(self) -> None:
        """Nothing: it was there before."""


def _with_name(path: Path) -> Path:
    """The same place by a path that ends in its name, which is the run's: `.` and `..` have none."""
    return path.resolve() if path.name in ("", "..") else path


def _make_empty(path: Path) -> None:
    try:
        make_directory(path, parents=True)
        for leftover in path.glob(f".{CONFIG}.*"):  # of a process that was killed before its run began
            leftover.unlink()
        occupied = any(entry.name != LOCK for entry in path.iterdir())
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--run {path}: {error.filename} is a file", remedy="name a new directory") from error
    except OSError as error:
        raise ResourceError(
            f"{path}: the run's directory cannot be made: {error.strerror}", remedy="name another one with --run DIR"
        ) from error
    if occupied:
        resume = f"; `puffer resume {shlex.quote(str(path))}` goes on with the run that is in it"
        on = resume if (path / CONFIG).exists() else ""
        raise UsageError(
            f"--run {path}: the directory is not empty, and a run never writes over another",
            remedy=f"name a new directory, or leave --run out{on}",
        )


def hold(path: Path) -> IO[str]:
    """Lock a run's directory for as long as the file that is returned stays open.

    Raises:
        ResourceError: another process holds it; the message names that process.
    """
    try:
        file = (path / LOCK).open("a+")
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise ResourceError(
            f"{path}: another process writes this run: {holder}", remedy="wait for it to end, or stop it"
        ) from error
    try:
        file.truncate(0)
        os.write(file.fileno(), (json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n").encode())
    except OSError as error:
        file.close()
        raise _not_writable(path, error) from error
    return file


def _not_writable(path: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"{path}: the run's directory cannot be written: {error.strerror}",
        remedy="make room or make it writable, or copy the run to another place",
    )


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk.

    Args:
        directory: where it is.
        evaluation: the last one, of a run that this process trained; None otherwise.

    Raises:
        CheckpointError: `directory` does not hold a run.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     _ = (Path(place) / "config.json").write_text('{"seed": 3}')
        ...     Run(place).config, Run(place).checkpoints, Run(place).metrics
        ({'seed': 3}, [], [])
    """

    directory: Path
    evaluation: Evaluation | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", Path(self.directory))
        if not (self.directory / CONFIG).is_file():
            what = f"it has no {CONFIG}" if self.directory.is_dir() else "there is no such directory"
            what = "it is a file" if self.directory.is_file() else what
            remedy = "name a directory that `puffer train` made, such as one of those under runs/"
            if (self.directory / CHECKPOINTS).is_dir():
                remedy = f"bring {CONFIG} back from a copy: without it nobody knows what the checkpoints are of"
            raise CheckpointError(f"{self.directory}: not the directory of a run: {what}", remedy=remedy)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration.

        Raises:
            CheckpointError: it is damaged.
        """
        try:
            config = parse_json((self.directory / CONFIG).read_bytes())
            if not isinstance(config, dict):
                raise ValueError(f"expected an object, got {type(config).__name__}")
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.directory / CONFIG}: cannot be read: {error}",
                remedy="bring it back from a copy; what was learned is not touched, see `puffer checkpoints verify`",
            ) from error
        return config

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The lines of `metrics.jsonl`; NaN where a line has no value.

        Raises:
            CheckpointError: a line of it cannot be read.
        """
        return read_metrics(self.directory / METRICS)

    @property
    def checkpoints(self) -> list[Path]:
        """Completed checkpoints, by step."""
        return completed(self.directory / CHECKPOINTS)

    @property
    def latest(self) -> Path:
        """The completed checkpoint of the highest step.

        Raises:
            CheckpointError: there is none.
        """
        if not self.checkpoints:
            raise CheckpointError(
                f"{self.directory}: the run has no checkpoint yet",
                remedy="let it train to its end, or stop it with Ctrl-C, which saves one",
            )
        return self.checkpoints[-1]
