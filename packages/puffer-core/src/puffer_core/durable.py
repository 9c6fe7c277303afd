"""Files that survive a crash: written beside, forced to disk, renamed into place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_file(path: Path, *parts: bytes | memoryview) -> None:
    """Write a new file, one part after another, and force it to disk; its directory's entry is not."""
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Force a directory's entries to disk, so that a rename within it survives a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, *, parents: bool = False) -> None:
    """Make a directory, if there is none; on return a power loss does not undo it.

    Args:
        path: of the directory.
        parents: make those that it lies in, too.

    Raises:
        FileExistsError: something else has its name.
        FileNotFoundError: what it lies in is not there.
    """
    if path.is_dir():
        return
    if parents:
        make_directory(path.parent, parents=True)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Give `path` new content in one step: a reader, or a crash, finds the old or the new, never half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        write_file(beside, data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_directory(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file and force it to disk; one that a crash cut short before is ended first."""
    new = not path.exists()
    with path.open("a+b") as file:
        if size := file.seek(0, os.SEEK_END):
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_directory(path.parent)


def json_bytes(value: Any) -> bytes:
    r"""JSON for people and for hashes: keys sorted, indented, and only what the standard knows (no NaN).

    Example:
        >>> json_bytes({"b": 1, "a": []})
        b'{\n  "a": [],\n  "b": 1\n}\n'
    """
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def parse_json(data: bytes) -> Any:
    """JSON as strict as it is written here.

    Raises:
        ValueError: malformed, or an object that names a key twice.

    Example:
        >>> parse_json(b'{"a": 1}')
        {'a': 1}
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"duplicate keys {sorted({key for key in keys if keys.count(key) > 1})}")
        return found

    try:
        return json.loads(data, object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
