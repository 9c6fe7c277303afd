"""Checkpoints: a directory of state files with a manifest, complete or not there at all.

`writing` makes them. Reading checks every file that is used against the manifest before anything is made of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from puffer_core.checkpoints.manifest import FORMAT, VERSION, Manifest, is_as_sealed
from puffer_core.checkpoints.statefile import decode
from puffer_core.contracts.checkpointable import State
from puffer_core.durable import parse_json, replace_file
from puffer_core.errors import CheckpointError

MANIFEST = "manifest.json"
LATEST = "LATEST"
CHECKPOINTS = "checkpoints"
_LARGEST_MANIFEST = 64 << 20
_STEP = re.compile(r"step-(\d{12,})", re.ASCII)
ASIDE = ".old"
"""What ends the name of a checkpoint that is being replaced."""


class VersionError(CheckpointError):
    """A checkpoint whose format another version of this program wrote; whether it is sound cannot be said here."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: where it lies, its manifest, and the states asked for."""

    path: Path
    manifest: Manifest
    states: dict[str, State]


def step_name(step: int) -> str:
    """The directory name of a step; names sort as steps do.

    Example:
        >>> step_name(1_048_576)
        'step-000001048576'
    """
    return f"step-{step:012d}"


def point_at(directory: Path, latest: Path) -> None:
    """Make `LATEST` of a `checkpoints` directory name a checkpoint, and that durable."""
    text = f"{latest.name}\n".encode()
    path = directory / LATEST
    if not path.is_file() or path.read_bytes() != text:
        replace_file(path, text)


def load(path: Path, components: Collection[str] | None = None) -> Checkpoint:
    """Read a checkpoint, checking every file that is read against its SHA-256.

    Args:
        path: the checkpoint's directory.
        components: names of those wanted; all where None. Files of others are not opened.

    Raises:
        CheckpointError: missing, damaged, incomplete, of an unknown version, or reaching out of its directory.
    """
    manifest = read_manifest(path)
    wanted = set(manifest.components) if components is None else set(components)
    if missing := sorted(wanted - set(manifest.components)):
        raise _refused(path, f"it has no {', '.join(missing)}")
    states = {}
    for name in sorted(wanted):
        files = {file.removeprefix(name): _read(path, file, manifest) for file in manifest.components[name].files}
        try:
            states[name] = decode(files)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise _refused(path, f"the state of {name} cannot be read: {error}") from error
    return Checkpoint(path, manifest, states)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint whose files are all there, with their sizes, and nothing else.

    Raises:
        CheckpointError: as `load` does.
    """
    if not path.is_dir():
        raise _refused(path, "there is no such directory")
    try:
        raw = parse_json(data := _manifest_bytes(path / MANIFEST))
    except FileNotFoundError:
        raise _refused(path, f"it has no {MANIFEST}, so it is no checkpoint, or was never completed") from None
    except (OSError, ValueError) as error:
        raise _refused(path, f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise _refused(path, f"{MANIFEST} does not describe a checkpoint of this program")
    if raw.get("version") != VERSION:
        raise _of_another_version(path, raw)
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _refused(path, f"{MANIFEST} is wrong{f' at {where}' if where else ''}: {first['msg']}") from error
    if not is_as_sealed(data, manifest.checksum):
        raise _refused(path, f"{MANIFEST} is damaged: its checksum is not that of its text")
    if step_of(path) not in (None, manifest.step):
        raise _refused(path, f"its manifest is of step {manifest.step:,}, so its directory was renamed")
    _check_files(path, manifest)
    return manifest


def _of_another_version(path: Path, raw: dict[str, Any]) -> VersionError:
    runtime = raw.get("runtime")
    wrote = runtime.get("puffer-core") if isinstance(runtime, dict) else None
    which = f"puffer-core {wrote}, which" if isinstance(wrote, str) else "the puffer-core that"
    return VersionError(
        f"{path}: the checkpoint has format version {raw.get('version')!r}, this program reads version {VERSION}",
        remedy=f"install {which} wrote it, or a newer one",
    )


def _manifest_bytes(path: Path) -> bytes:
    """The content of a manifest, which is looked at before it is opened: reading a pipe would never end."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a plain file")
    if status.st_size > _LARGEST_MANIFEST:
        raise ValueError(f"it has {status.st_size:,} bytes, expected at most {_LARGEST_MANIFEST:,}")
    return path.read_bytes()


def _check_files(path: Path, manifest: Manifest) -> None:
    present = {entry.name: entry for entry in os.scandir(path)}
    expected = {*manifest.files, MANIFEST}
    if missing := sorted(expected - set(present)):
        raise _refused(path, f"files are missing: {', '.join(missing)}")
    if extra := sorted(set(present) - expected):
        raise _refused(path, f"files that the manifest does not list: {', '.join(extra)}")
    for name, entry in present.items():
        if not entry.is_file(follow_symlinks=False):
            raise _refused(path, f"{name} is not a plain file")
        size = entry.stat(follow_symlinks=False).st_size
        if name != MANIFEST and size != manifest.files[name].size:
            raise _refused(path, f"{name} has {size} bytes, expected {manifest.files[name].size}")


def _read(path: Path, name: str, manifest: Manifest) -> bytes:
    try:
        data = (path / name).read_bytes()
    except OSError as error:
        raise _refused(path, f"{name} cannot be read: {error.strerror or error}") from error
    if _digest(data) != manifest.files[name].sha256:
        raise _refused(path, f"{name} is damaged: its SHA-256 is not the manifest's")
    return data


def is_sound(path: Path) -> bool:
    """Whether every file of a checkpoint is as it was written."""
    try:
        manifest = read_manifest(path)
        for name in manifest.files:
            _read(path, name, manifest)
    except CheckpointError:
        return False
    return True


def is_checkpoint(path: Path) -> bool:
    """Whether a path means a checkpoint, which need not be there or sound, rather than a run.

    Example:
        >>> is_checkpoint(Path("runs/mine/checkpoints/step-000000000512")), is_checkpoint(Path("runs/mine"))
        (True, False)
    """
    return (path / MANIFEST).exists() or (_STEP.fullmatch(path.name) is not None and path.parent.name == CHECKPOINTS)


def step_of(path: Path) -> int | None:
    """The step that a checkpoint's directory is named after; None where it is none.

    Example:
        >>> step_of(Path("step-000000000512")), step_of(Path("LATEST"))
        (512, None)
    """
    match = _STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def completed(directory: Path) -> list[Path]:
    """The completed checkpoints of a `checkpoints` directory, by step; whether they are damaged is not looked at."""
    if not directory.is_dir():
        return []
    found = {int(match[1]): path for path in directory.iterdir() if (match := _STEP.fullmatch(path.name))}
    return [found[step] for step in sorted(found) if (found[step] / MANIFEST).is_file()]


def remove_leftovers(directory: Path) -> None:
    """Remove what saves that never ended left behind. Only the holder of the run's lock may.

    A checkpoint that was moved aside for a new one of its step comes back where the new one did not take its place.
    What the system does not let go now stays, and is no error: the next save tries again.
    """
    for path in directory.glob(f".step-*{ASIDE}"):
        target = directory / path.name[1:].partition(".")[0]
        if not target.exists():
            with suppress(OSError):
                path.replace(target)
    for path in (*directory.glob(".step-*"), *directory.glob(f".{LATEST}.*")):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refused(path: Path, what: str) -> CheckpointError:
    others = [other.name for other in completed(path.parent) if other.name != path.name]
    remedy = "name another checkpoint"
    if others:
        which = f"`puffer checkpoints verify {path.parent.parent}` says which are sound"
        remedy = f"use another checkpoint of this run: {', '.join(others[-3:])}; {which}"
    return CheckpointError(f"{path}: {what}", remedy=remedy)
