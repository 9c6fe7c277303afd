"""What lies in a run's `checkpoints` directory, damaged or not; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from puffer_core.checkpoints.manifest import Manifest
from puffer_core.checkpoints.reading import MANIFEST, VersionError, load, read_manifest, step_of
from puffer_core.checkpoints.retention import best
from puffer_core.errors import CheckpointError

Condition: TypeAlias = Literal["not looked at", "sound", "damaged", "unreadable"]
"""`unreadable`: of another version, or the system refuses to read it; it may well be sound."""


@dataclass(frozen=True)
class Found:
    """A checkpoint as it was found.

    Args:
        path: its directory.
        step: that it is named after.
        size: bytes of its files.
        saved: when, in seconds since 1970; by the clock of the machine that wrote it.
        condition: `not looked at` where files are there with their sizes, but were not read.
        error: why it is damaged or unreadable.
        manifest: None likewise.
    """

    path: Path
    step: int
    size: int
    saved: float
    condition: Condition = "not looked at"
    error: CheckpointError | None = None
    manifest: Manifest | None = None

    @property
    def reason(self) -> str:
        """What is wrong with it, in a few words; empty where nothing is known to be."""
        return self.error.message.removeprefix(f"{self.path}: ") if self.error else ""

    @property
    def score(self) -> float | None:
        """Mean return of the evaluation at its step; None where there was none, or the manifest cannot be read."""
        return self.manifest.score if self.manifest else None

    @property
    def resumes(self) -> str:
        """Whether a resumed run would equal one never stopped, or why not."""
        if self.manifest is None:
            return "-"
        resume = self.manifest.resume
        return "bitwise" if resume.bitwise else "; ".join(resume.reasons)


def find(directory: Path) -> list[Found]:
    """The checkpoints of a `checkpoints` directory by step, incomplete ones too; their content is not read."""
    paths = directory.iterdir() if directory.is_dir() else ()
    return [look(path) for path in sorted((path for path in paths if step_of(path) is not None), key=_order)]


def _order(path: Path) -> int:
    return step_of(path) or 0


def best_of(found: Sequence[Found]) -> Found | None:
    """The one of the highest score, of equal ones the earliest; None where none that can be used has a score."""
    scored = {item.step: item for item in found if item.score is not None and item.error is None}
    first = best({step: item.score or 0.0 for step, item in scored.items()}, 1)
    return scored[first[0]] if first else None


def look(path: Path) -> Found:
    """A checkpoint by its manifest, and the names and sizes of its files."""
    found = Found(path, _order(path), size(path), written_at(path / MANIFEST, path))
    try:
        manifest = read_manifest(path)
    except CheckpointError as error:
        return replace(found, condition=_condition(error), error=error)
    return replace(found, step=manifest.step, manifest=manifest)


def verify(path: Path) -> Found:
    """A checkpoint after every file was compared with its SHA-256, and every state read."""
    found = look(path)
    if found.manifest is None:
        return found
    try:
        for name in sorted(found.manifest.components):  # one at a time, as they may be large
            load(path, [name])
    except CheckpointError as error:
        return replace(found, condition=_condition(error), error=error)
    return replace(found, condition="sound")


def _condition(error: CheckpointError) -> Condition:
    elsewhere = isinstance(error, VersionError) or isinstance(error.__cause__, OSError)
    return "unreadable" if elsewhere else "damaged"


def size(path: Path) -> int:
    """Bytes of a file, or of those below a directory; no link is followed, and what vanishes meanwhile counts nothing.

    Example:
        >>> size(Path("no such directory"))
        0
    """
    return sum(map(_file_size, path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]))


def _file_size(path: Path) -> int:
    try:
        return 0 if path.is_dir() else path.lstat().st_size
    except OSError:
        return 0


def written_at(*paths: Path) -> float:
    """When the first of these that is there was written, in seconds since 1970; 0 where none is.

    Example:
        >>> written_at(Path("no such file"))
        0.0
    """
    for path in paths:
        with suppress(OSError):
            return path.lstat().st_mtime
    return 0.0
