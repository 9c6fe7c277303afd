"""Event files: appended to whole events at a time, and cut back to a step when a run goes on."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata

from puffer_core.durable import sync_directory
from puffer_logger_tensorboard.records import frame, records

_SUFFIX = ".puffer"
"""Marks our files: others in the directory are left alone."""


class EventFile:
    """A new event file, the last of its directory in TensorBoard's order.

    Every event is handed to the operating system at once, so a crash of the process loses none, and one that
    could not be written (the disk is full) leaves nothing of itself behind: it can be written again.

    tensorboard's own EventFileWriter does neither, has a thread that dies of the first error, and imports
    TensorFlow where it is installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     file = EventFile(Path(place))
        ...     file.append(Event(step=3))
        ...     file.close()
        ...     [path.suffix for path in event_files(Path(place))]
        ['.puffer']
    """

    def __init__(self, directory: Path) -> None:
        name = f"events.out.tfevents.{_next_time(directory):010d}.{socket.gethostname()}.{os.getpid()}{_SUFFIX}"
        self._file: BinaryIO = (directory / name).open("xb", buffering=0)
        self._size = 0
        source = SourceMetadata(writer="puffer_logger_tensorboard")
        self.append(Event(file_version="brain.Event:2", source_metadata=source))
        sync_directory(directory)

    def append(self, event: Event) -> None:
        """Write an event, stamped with the time it is now.

        Raises:
            OSError: it could not be written; the file is as it was.
        """
        event.wall_time = time.time()
        left = memoryview(frame(event.SerializeToString()))
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise
        self._size = self._file.tell()

    def sync(self) -> None:
        """Force everything to disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Force everything to disk and close the file."""
        self.sync()
        self._file.close()


def event_files(directory: Path) -> list[Path]:
    """Our event files, in the order that TensorBoard reads them in."""
    return sorted(directory.glob(f"*.tfevents.*{_SUFFIX}"))


def keep_up_to(directory: Path, last_step: int) -> int | None:
    """Take events beyond `last_step`, and what was cut short, out of our files.

    TensorBoard is told by an event too, but its fast reader does not heed that.

    Returns:
        The last step whose metrics are left, -1 where there are only other events; None where no file is left.
    """
    left = -1
    for path in event_files(directory):
        with path.open("rb") as file:
            events = list(_events(file))
        kept = [(start, end) for start, end, event in events if event.step <= last_step]
        if not any(event.HasField("summary") and event.step <= last_step for _, _, event in events):
            path.unlink()
        elif sum(end - start for start, end in kept) < path.stat().st_size:
            _rewrite(path, kept)
        left = max([left, *(event.step for _, _, event in events if event.step <= last_step and _has_scalars(event))])
    return left if event_files(directory) else None


def _has_scalars(event: Event) -> bool:
    return any(value.HasField("simple_value") for value in event.summary.value)


def _events(file: BinaryIO) -> Iterator[tuple[int, int, Event]]:
    """Where each event begins and ends, up to the first that is damaged: TensorBoard reads no further either."""
    for start, end, data in records(file):
        try:
            event = Event.FromString(data)
        except DecodeError:
            return
        yield start, end, event


def _rewrite(path: Path, kept: list[tuple[int, int]]) -> None:
    """Leave only these parts of a file, in one step."""
    beside = path.with_name("rewriting")  # a name that TensorBoard does not read
    with path.open("rb") as old, beside.open("wb") as new:
        for start, end in kept:
            old.seek(start)
            new.write(old.read(end - start))
        new.flush()
        os.fsync(new.fileno())
    shutil.copymode(path, beside)
    beside.replace(path)
    sync_directory(path.parent)


def _next_time(directory: Path) -> int:
    """Seconds for a file's name, later than every other's: TensorBoard reads files in order of their names."""
    others = [int(path.name.split(".")[3]) for path in event_files(directory)]
    return max([int(time.time()), *(other + 1 for other in others)])
