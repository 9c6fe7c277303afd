"""`loggers.json`: up to which step each logger has taken everything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from puffer_core.durable import json_bytes, parse_json, replace_file

MARKS = "loggers.json"


class Marks:
    """High-water marks of a run's loggers, in its `loggers.json`; safe to use from several threads.

    A mark that could not be written is only older than it might be: more is read back after a resume. A file that
    cannot be read counts as no marks.

    Args:
        directory: of the run.
        warn: takes the line that says so.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     Marks(Path(place), print).put("tensorboard", 64)
        ...     Marks(Path(place), print).read()
        {'tensorboard': 64}
    """

    def __init__(self, directory: Path, warn: Callable[[str], None]) -> None:
        self._path = directory / MARKS
        self._warn = warn
        self._lock = threading.Lock()
        self._marks: dict[str, int] = {}
        self._written = True

    def read(self) -> dict[str, int]:
        """The marks in the file, from which `put` goes on."""
        try:
            marks = parse_json(self._path.read_bytes()) if self._path.exists() else {}
            self._marks = {str(name): int(step) for name, step in marks.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            self._warn(f"{self._path} cannot be read ({error}): every logger is fed from the start of the run")
        return dict(self._marks)

    def put(self, name: str, step: int) -> None:
        """Raise or lower a logger's mark, durably."""
        with self._lock:
            if self._marks.get(name) == step and self._written:
                return
            self._marks[name] = step
            try:
                replace_file(self._path, json_bytes(self._marks))
                self._written = True
            except OSError as error:
                if self._written:
                    self._warn(f"{self._path} could not be written ({error})")
                self._written = False
