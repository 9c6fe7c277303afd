"""SHA-256 of files while they are written: in threads, as hashing takes longer than writing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

_SMALL = 1 << 16
"""Bytes; below, handing them to a thread costs more than hashing them."""
_THREADS = 2


class Digests:
    """Sizes and SHA-256 of files that are being written. A context manager: leaving waits for its threads.

    Example:
        >>> with Digests() as digests:
        ...     digests.begin("a", [b"some", b"thing"])
        ...     size, digest = digests.ended()["a"]
        >>> size, digest == hashlib.sha256(b"something").hexdigest()
        (9, True)
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._found: dict[str, tuple[int, str | Future[str]]] = {}

    def begin(self, name: str, parts: Sequence[bytes | memoryview]) -> None:
        """Hash a file, given in parts that stay as they are until this has ended."""
        size = sum(map(len, parts))
        if size < _SMALL:
            self._found[name] = (size, _digest(parts))
            return
        self._pool = self._pool or ThreadPoolExecutor(_THREADS, thread_name_prefix="puffer-sha256")
        self._found[name] = (size, self._pool.submit(_digest, parts))

    def ended(self) -> dict[str, tuple[int, str]]:
        """Bytes and digest of every file that was begun, by name."""
        return {
            name: (size, got if isinstance(got, str) else got.result()) for name, (size, got) in self._found.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _digest(parts: Sequence[bytes | memoryview]) -> str:
    digest = hashlib.sha256()  # large parts are hashed without the interpreter's lock
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
