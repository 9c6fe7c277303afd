"""Checkpoints: a directory of state files with a manifest, complete or not there at all.

Order of writing: a temporary directory, files forced to disk, the manifest with their SHA-256 last, then one rename.
Reading checks every file that is used against the manifest before anything is made of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from puffer_core.contracts.checkpointable import State
from puffer_core.durable import parse_json, replace_file, sync_directory, write_file
from puffer_core.errors import CheckpointError, ResourceError
from puffer_core.manifest import FORMAT, VERSION, ComponentEntry, FileEntry, Header, Manifest, is_as_sealed, sealed
from puffer_core.statefile import decode, encode

MANIFEST = "manifest.json"
LATEST = "LATEST"
CHECKPOINTS = "checkpoints"
_LARGEST_MANIFEST = 64 << 20
_COMPONENT = re.compile(r"[a-z][a-z0-9_.-]*", re.ASCII)
_STEP = re.compile(r"step-(\d{12,})", re.ASCII)


class VersionError(CheckpointError):
    """A checkpoint whose format another version of this program wrote; whether it is sound cannot be said here."""


@dataclass(frozen=True)
class Saved:
    """A component as it is handed to `save`: its state and who it is."""

    state: State
    type: str
    version: int = 1
    distribution: str = ""
    distribution_version: str = ""


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


def save(
    directory: Path, header: Header, components: Mapping[str, Saved], *, to_numpy: Callable[[Any], Any] = np.asarray
) -> Path:
    """Write a checkpoint into a run's `checkpoints` directory; on return it is durable.

    A sound checkpoint of the same step is kept as it is; a damaged one is replaced.

    Args:
        directory: of the run's checkpoints; made if need be.
        header: what the run says of it.
        components: by name, lower case letters, digits, `_`, `.` and `-`.
        to_numpy: makes NumPy arrays of the engine's.

    Raises:
        CheckpointError: a state holds something that is neither an array nor a JSON value.
        ResourceError: the disk is full, read-only or gone. Older checkpoints are untouched.

    Example:
        >>> import tempfile
        >>> from puffer_core.manifest import ResumeEntry
        >>> header = Header(step=1, unit="env_steps", run_id="r", config_hash="", policy=None, plugins=[], runtime={},
        ...                 resume=ResumeEntry(bitwise=True, reasons=[]))
        >>> with tempfile.TemporaryDirectory() as place:
        ...     path = save(Path(place), header, {"counter": Saved({"n": 3}, "example:Counter")})
        ...     load(path).states["counter"]
        {'n': 3}
    """
    files, entries = _encode(components, to_numpy)
    listing = {name: FileEntry(size=len(data), sha256=_digest(data)) for name, data in files.items()}
    manifest = Manifest(**dict(header), files=listing, components=entries)
    files[MANIFEST] = sealed(manifest)
    target = directory / step_name(header.step)
    if target.exists() and is_sound(target):
        return target
    temporary = directory / f".{target.name}.{os.getpid()}"
    try:
        _write(temporary, files)
        _put(temporary, target)
        replace_file(directory / LATEST, f"{target.name}\n".encode())
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        needed = sum(map(len, files.values()))
        raise ResourceError(
            f"{target}: the checkpoint ({needed:,} bytes) could not be written: {error.strerror or error}",
            remedy="make room or make the place writable; older checkpoints of the run are untouched",
        ) from error
    return target


def _encode(
    components: Mapping[str, Saved], to_numpy: Callable[[Any], Any]
) -> tuple[dict[str, bytes], dict[str, ComponentEntry]]:
    files: dict[str, bytes] = {}
    entries: dict[str, ComponentEntry] = {}
    for name, saved in components.items():
        if not _COMPONENT.fullmatch(name) or f"{name}.json" == MANIFEST:
            raise CheckpointError(
                f"a component cannot be called {name!r}: lower case letters, digits, '_', '.' and '-'"
            )
        try:
            encoded = encode(saved.state, to_numpy)
        except CheckpointError as error:
            raise CheckpointError(f"{name} ({saved.type}) cannot be saved: {error}") from error
        own = {name + suffix: data for suffix, data in encoded.items()}
        files |= own
        entries[name] = ComponentEntry(
            type=saved.type,
            version=saved.version,
            distribution=saved.distribution,
            distribution_version=saved.distribution_version,
            files=sorted(own),
        )
    return files, entries


def _write(temporary: Path, files: Mapping[str, bytes]) -> None:
    temporary.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(temporary.parent)
    temporary.mkdir()
    for name in sorted(files, key=lambda name: name == MANIFEST):
        write_file(temporary / name, files[name])
    sync_directory(temporary)


def _put(temporary: Path, target: Path) -> None:
    """Rename into place; a damaged checkpoint of that name is moved aside first."""
    aside = temporary.with_name(temporary.name + ".old")
    if target.exists():
        target.replace(aside)
    temporary.replace(target)
    sync_directory(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


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
        given = raw.get("version")
        raise VersionError(
            f"{path}: the checkpoint has format version {given!r}, this program reads version {VERSION}",
            remedy="install the puffer-core that wrote it, or a newer one",
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _refused(path, f"{MANIFEST} is wrong{f' at {where}' if where else ''}: {first['msg']}") from error
    if not is_as_sealed(data, manifest.checksum):
        raise _refused(path, f"{MANIFEST} is damaged: its checksum is not that of its text")
    _check_files(path, manifest)
    return manifest


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
    """Remove what saves that never ended left behind. Only the holder of the run's lock may."""
    for path in directory.glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refused(path: Path, what: str) -> CheckpointError:
    others = [other.name for other in completed(path.parent) if other.name != path.name]
    remedy = "name another checkpoint"
    if others:
        which = f"`puffer checkpoints verify {path.parent.parent}` says which are sound"
        remedy = f"use another checkpoint of this run: {', '.join(others[-3:])}; {which}"
    return CheckpointError(f"{path}: {what}", remedy=remedy)
