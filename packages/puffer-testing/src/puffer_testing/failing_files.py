"""A file system that fails where it is told to, dies, or loses its power: to test what has to survive that."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from puffer_testing.power_loss import Durable

Kind: TypeAlias = Literal[
    "open", "write", "half a write", "truncate", "fsync", "mkdir", "rename", "link", "unlink", "rmdir"
]


class Crashed(BaseException):
    """The process is dead as far as its files go: nothing that it does to them from now on happens.

    No Exception, so that no code takes it for an error that it can deal with.
    """


@dataclass(frozen=True)
class Operation:
    """What is about to be done to a file.

    Args:
        number: how many came before it, >= 0.
        kind: `half a write` is the second half of a `write`; `open` is counted where it makes or empties a file.
        path: of the file or directory; of a rename, the new one.
    """

    number: int
    kind: Kind
    path: Path


class FailingFiles:
    """Watches every change that this process makes to the files in a directory, and lets it fail. A context manager.

    `open`, `pathlib`, `shutil` and `os` are seen, as their calls into the system are wrapped meanwhile; extensions in C
    that write files by themselves are not. Linux only.

    Args:
        directory: what lies in it, however deep, is watched; everything else is let through.
        before: called before each operation. What it raises is raised by the operation, which is then not done: an
            `OSError` is a fault of the disk; `Crashed` is the death of the process, after which each further operation
            raises it again and does nothing, clean-up included. It may look at the files, which are as a process
            killed at that moment would leave them, and call `after_power_loss`.

    Example:
        >>> import errno, tempfile
        >>> def full(operation):
        ...     if operation.kind == "half a write":
        ...         raise OSError(errno.ENOSPC, "No space left on device")
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with FailingFiles(Path(place), full) as files:
        ...         try:
        ...             written = Path(place, "a").write_bytes(b"12345678")
        ...         except OSError as error:
        ...             print(error.strerror)
        ...     Path(place, "a").read_bytes(), [operation.kind for operation in files.operations]
        No space left on device
        (b'1234', ['open', 'write', 'half a write'])
    """

    def __init__(self, directory: Path, before: Callable[[Operation], object] = lambda _: None) -> None:
        self.directory = Path(os.path.realpath(directory))
        self.operations: list[Operation] = []
        """Those so far, failed ones included."""
        self._before, self._crashed = before, False
        self._durable = Durable(self.directory)
        self._originals: list[tuple[Any, str, Any]] = []

    def after_power_loss(self, target: Path, *, renames: Literal["undone", "kept"] = "undone") -> None:
        """Make `target`, which is not there yet, what the directory would be after a power loss at this moment.

        What a file got since its last `fsync` is gone. Where renames are `undone`, so is every name that was made,
        changed or removed since the last `fsync` of its directory; where they are `kept`, the system happened to write
        all names before the data. What was there when the watch began is on disk.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as place:
            ...     disk, after = Path(place, "disk"), Path(place, "after")
            ...     disk.mkdir()
            ...     with FailingFiles(disk) as files:
            ...         written = (disk / "a").write_bytes(b"never forced to disk")
            ...         files.after_power_loss(after / "undone")
            ...         files.after_power_loss(after / "kept", renames="kept")
            ...     sorted(str(path.relative_to(after)) for path in after.rglob("*")), (after / "kept/a").read_bytes()
            (['kept', 'kept/a', 'undone'], b'')
        """
        self._durable.write(target, names_kept=renames == "kept")

    def restart(self) -> None:
        """Another process goes on where one crashed; the disk had power all the time."""
        self._crashed = False

    def __enter__(self) -> Self:
        for module, name, wrapper in _WRAPPED:
            original = getattr(module, name)
            self._originals.append((module, name, original))
            setattr(module, name, partial(wrapper, self, original))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._originals:
            setattr(*self._originals.pop())

    def watched(self, path: Any, at: int | None = None) -> Path | None:
        """The full path of a file that is watched, given as a path or descriptor; None of any other."""
        if isinstance(path, int):
            full = Path(f"/proc/self/fd/{path}").readlink()
        else:
            base = Path.cwd() if at is None else Path(f"/proc/self/fd/{at}").readlink()
            given = base / os.fsdecode(path)
            full = Path(os.path.realpath(given.parent)) / given.name
        return full if full == self.directory or self.directory in full.parents else None

    def meet(self, kind: Kind, path: Path) -> None:
        """Count an operation, and let it fail if it is to."""
        if self._crashed:
            raise Crashed
        operation = Operation(len(self.operations), kind, path)
        self.operations.append(operation)
        try:
            self._before(operation)
        except Crashed:
            self._crashed = True
            raise

    def made(self, path: Path) -> None:
        """A file or directory was made."""
        self._durable.created(path)

    def synced(self, path: Path) -> None:
        """A file or directory was forced to disk."""
        self._durable.synced(path)

    def write(self, path: Path, data: Any, write: Callable[[Any], int]) -> int:
        """Write in two halves, each of which may fail."""
        view = memoryview(data)
        if view.nbytes < 2:
            self.meet("write", path)
            return write(data)
        view = view.cast("B")
        middle = len(view) // 2
        self.meet("write", path)
        written = write(view[:middle])
        self.meet("half a write", path)
        return written + write(view[middle:])


class _File(io.FileIO):
    """A file that is open for writing, and watched."""

    def __init__(self, files: FailingFiles, path: Path, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        self._files, self._path = files, path
        new = not isinstance(file, int) and not path.exists()
        if new or "w" in mode:
            files.meet("open", path)
        super().__init__(file, mode, closefd, opener)
        if new:
            files.made(path)

    def write(self, data: Any) -> int:
        return self._files.write(self._path, data, super().write)

    def truncate(self, size: int | None = None) -> int:
        self._files.meet("truncate", self._path)
        return super().truncate(size)


def _open_file(
    files: FailingFiles,
    original: Any,
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    path = files.watched(file) if set(mode) & set("wax+") else None
    if path is None:
        return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = _File(files, path, file, mode.replace("b", "").replace("t", ""), closefd, opener)
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)


def _open(
    files: FailingFiles, original: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
) -> int:
    full = files.watched(path, dir_fd) if flags & (os.O_CREAT | os.O_TRUNC) else None
    new = full is not None and bool(flags & os.O_CREAT) and not full.exists()
    if full is not None and (new or flags & os.O_TRUNC):
        files.meet("open", full)
    descriptor: int = original(path, flags, mode, dir_fd=dir_fd)
    if full is not None and new:
        files.made(full)
    return descriptor


def _write(files: FailingFiles, original: Any, descriptor: int, data: Any) -> int:
    path = files.watched(descriptor)
    return original(descriptor, data) if path is None else files.write(path, data, partial(original, descriptor))


def _sync(files: FailingFiles, original: Any, file: Any) -> None:
    path = files.watched(file if isinstance(file, int) else file.fileno())
    if path is not None:
        files.meet("fsync", path)
    original(file)
    if path is not None:
        files.synced(path)


def _rename(files: FailingFiles, original: Any, source: Any, target: Any, **at: Any) -> None:
    path = files.watched(target, at.get("dst_dir_fd")) or files.watched(source, at.get("src_dir_fd"))
    if path is not None:
        files.meet("rename", path)
    original(source, target, **at)


def _link(files: FailingFiles, original: Any, source: Any, target: Any, *rest: Any, **at: Any) -> None:
    path = files.watched(target, at.get("dst_dir_fd", at.get("dir_fd")))
    if path is not None:
        files.meet("link", path)
    original(source, target, *rest, **at)
    if path is not None and path.is_symlink():
        files.made(path)


def _change(kind: Kind) -> Callable[..., Any]:
    """A wrapper of a call that changes the one path or descriptor that it is given first."""

    def wrapper(files: FailingFiles, original: Any, path: Any, *rest: Any, **at: Any) -> Any:
        full = files.watched(path, at.get("dir_fd"))
        if full is not None:
            files.meet(kind, full)
        result = original(path, *rest, **at)
        if full is not None and kind == "mkdir":
            files.made(full)
        return result

    return wrapper


_WRAPPED: list[tuple[Any, str, Callable[..., Any]]] = [
    (io, "open", _open_file),
    (builtins, "open", _open_file),
    (os, "open", _open),
    (os, "write", _write),
    *((os, name, _change("write")) for name in ("pwrite", "writev", "sendfile")),
    *((os, name, _change("truncate")) for name in ("truncate", "ftruncate")),
    *((os, name, _sync) for name in ("fsync", "fdatasync")),
    *((os, name, _rename) for name in ("rename", "replace")),
    *((os, name, _link) for name in ("link", "symlink")),
    (os, "mkdir", _change("mkdir")),
    *((os, name, _change("unlink")) for name in ("unlink", "remove")),
    (os, "rmdir", _change("rmdir")),
]
