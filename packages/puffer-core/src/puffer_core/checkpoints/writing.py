"""Writing a checkpoint: beside its place, forced to disk, the manifest with each SHA-256 last, then one rename."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puffer_core.checkpoints.manifest import ComponentEntry, FileEntry, Header, Manifest, sealed
from puffer_core.checkpoints.reading import ASIDE, MANIFEST, is_sound, point_at, remove_leftovers, step_name
from puffer_core.checkpoints.statefile import encoded
from puffer_core.contracts.checkpointable import State
from puffer_core.durable import make_directory, sync_directory, write_file
from puffer_core.errors import CheckpointError, ResourceError

_COMPONENT = re.compile(r"[a-z][a-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True)
class Saved:
    """A component as it is handed to `save`: its state and who it is."""

    state: State
    type: str
    version: int = 1
    distribution: str = ""
    distribution_version: str = ""


def save(
    directory: Path,
    header: Header,
    components: Mapping[str, Saved],
    *,
    to_numpy: Callable[[Any], Any] = np.asarray,
    replace: bool = False,
) -> Path:
    """Write a checkpoint into a run's `checkpoints` directory; on return it is durable.

    Arrays are written from where they lie: nobody may change them meanwhile. A damaged checkpoint of the same step is
    replaced.

    Args:
        directory: of the run's checkpoints; made if need be, in a directory that is there.
        header: what the run says of it.
        components: by name, lower case letters, digits, `_`, `.` and `-`.
        to_numpy: makes NumPy arrays of the engine's.
        replace: replace a sound checkpoint of the same step too, which is kept as it is otherwise.

    Raises:
        CheckpointError: a state holds something that is neither an array nor a JSON value.
        ResourceError: the disk is full, read-only or gone. Older checkpoints are untouched.

    Example:
        >>> import tempfile
        >>> from puffer_core.checkpoints.reading import load
        >>> from puffer_core.checkpoints.manifest import ResumeEntry
        >>> header = Header(step=1, unit="env_steps", run_id="r", config_hash="", policy=None, plugins=[], runtime={},
        ...                 resume=ResumeEntry(bitwise=True, reasons=[]))
        >>> with tempfile.TemporaryDirectory() as place:
        ...     path = save(Path(place), header, {"counter": Saved({"n": 3}, "example:Counter")})
        ...     load(path).states["counter"]
        {'n': 3}
    """
    files, entries = _encode(components, to_numpy)
    target = directory / step_name(header.step)
    temporary = directory / f".{target.name}.{os.getpid()}"
    try:
        if replace or not is_sound(target):
            _write(temporary, files, header, entries)
            _put(temporary, target)
        sync_directory(directory)
        point_at(directory, target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        needed = sum(len(part) for parts in files.values() for part in parts)
        raise ResourceError(
            f"{target}: the checkpoint could not be written: {error.strerror or error}; {_room(directory, needed)}",
            remedy="make room or make the place writable; older checkpoints of the run are untouched",
        ) from error
    return target


def _room(directory: Path, needed: int) -> str:
    """The bytes that a checkpoint takes, and those that there are."""
    try:
        return f"it needs {needed:,} bytes, {shutil.disk_usage(directory.parent).free:,} are free"
    except OSError as error:
        return f"it needs {needed:,} bytes, and {directory.parent} cannot be looked at: {error.strerror or error}"


def _encode(
    components: Mapping[str, Saved], to_numpy: Callable[[Any], Any]
) -> tuple[dict[str, list[bytes | memoryview]], dict[str, ComponentEntry]]:
    """The files of all components, in parts, and what the manifest says of each component."""
    files: dict[str, list[bytes | memoryview]] = {}
    entries: dict[str, ComponentEntry] = {}
    for name, saved in components.items():
        if not _COMPONENT.fullmatch(name) or f"{name}.json" == MANIFEST:
            raise CheckpointError(
                f"a component cannot be called {name!r}: lower case letters, digits, '_', '.' and '-'"
            )
        try:
            parts = encoded(saved.state, to_numpy)
        except CheckpointError as error:
            raise CheckpointError(f"{name} ({saved.type}) cannot be saved: {error}") from error
        own = {name + suffix: data for suffix, data in parts.items()}
        files |= own
        entries[name] = ComponentEntry(
            type=saved.type,
            version=saved.version,
            distribution=saved.distribution,
            distribution_version=saved.distribution_version,
            files=sorted(own),
        )
    return files, entries


def _write(
    temporary: Path,
    files: Mapping[str, Sequence[bytes | memoryview]],
    header: Header,
    entries: Mapping[str, ComponentEntry],
) -> None:
    """Write a whole checkpoint; hashing takes longer than writing, and goes on beside it."""
    make_directory(temporary.parent)
    remove_leftovers(temporary.parent)
    temporary.mkdir()
    digests: dict[str, Future[str]] = {}
    with ThreadPoolExecutor(2, thread_name_prefix="puffer-sha256") as pool:
        for name in sorted(files):
            digests[name] = pool.submit(_digest, files[name])
            write_file(temporary / name, *files[name])
    listing = {
        name: FileEntry(size=sum(map(len, files[name])), sha256=digest.result()) for name, digest in digests.items()
    }
    manifest = Manifest(**dict(header), files=listing, components=dict(entries))
    write_file(temporary / MANIFEST, sealed(manifest))
    sync_directory(temporary)


def _digest(parts: Sequence[bytes | memoryview]) -> str:
    digest = hashlib.sha256()  # large parts are hashed without the interpreter's lock
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _put(temporary: Path, target: Path) -> None:
    """Rename into place; what has that name is moved aside first, and comes back if a crash is in between."""
    aside = temporary.with_name(temporary.name + ASIDE)
    if target.exists():
        target.replace(aside)
    temporary.replace(target)
    sync_directory(target.parent)
    shutil.rmtree(aside, ignore_errors=True)
