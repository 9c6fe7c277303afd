"""What a disk holds for certain: what `fsync` was called for, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(eq=False)
class _Node:
    """A file, link or directory, and what of it is on disk."""

    mode: int
    data: bytes = b""
    names: dict[str, _Node] = field(default_factory=dict)


class Durable:
    """What of a directory survives a power loss. POSIX promises no more: data with the file's `fsync`, names with the
    directory's.

    Args:
        root: the directory; what is in it is on disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._nodes: dict[int, _Node] = {}
        for path in (*root.rglob("*"), root):
            self.synced(path)

    def created(self, path: Path) -> None:
        """`path` was made just now; an inode of that number may have been another file's before."""
        self._nodes.pop(path.lstat().st_ino, None)

    def synced(self, path: Path) -> None:
        """`fsync` was called for `path`."""
        node = self._node(path)
        if stat.S_ISDIR(node.mode):
            node.names = {below.name: self._node(below) for below in path.iterdir()}
        elif stat.S_ISREG(node.mode):
            node.data = path.read_bytes()

    def _node(self, path: Path) -> _Node:
        status = path.lstat()
        if status.st_ino not in self._nodes:
            link = os.fsencode(path.readlink()) if stat.S_ISLNK(status.st_mode) else b""
            self._nodes[status.st_ino] = _Node(status.st_mode, link)
        return self._nodes[status.st_ino]

    def write(self, target: Path, *, names_kept: bool) -> None:
        """Make `target` what the directory would be; with `names_kept` as if every name had been written at once."""
        self._write(target, self._node(self._root), self._root if names_kept else None)

    def _write(self, target: Path, node: _Node, now: Path | None) -> None:
        if stat.S_ISLNK(node.mode):
            target.symlink_to(os.fsdecode(node.data))
        elif stat.S_ISREG(node.mode):
            target.write_bytes(node.data)
        elif stat.S_ISDIR(node.mode):
            target.mkdir(parents=True)
            for name, below in self._names(node, now):
                self._write(target / name, below, now / name if now else None)

    def _names(self, node: _Node, now: Path | None) -> Iterator[tuple[str, _Node]]:
        if now is None:
            yield from node.names.items()
        else:
            for path in now.iterdir():
                yield path.name, self._node(path)
