"""The last row in wandb's own files of a run: what an earlier process logged, as far as it was written."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_HEAD, _BLOCK = 7, 1 << 15
_WHOLE, _LAST = 1, 4
"""Kinds of a part that ends a record."""
_PATIENCE = 20.0
"""Seconds that the service of a process that was killed has to end."""


def last_row(directory: Path, id: str) -> int | None:
    """The step of the last row in the files of a run, -1 where there is no row; None where wandb never was.

    Args:
        directory: in which wandb's `wandb/` lies.
        id: of the run, as wandb has it.

    Example:
        >>> last_row(Path("nowhere"), "mine") is None
        True
    """
    places = list(directory.glob("wandb/*run-*"))
    steps = [_last_row(path) for place in places for path in place.glob(f"run-{id}.wandb")]
    return max([-1, *steps]) if places else None


def _last_row(path: Path) -> int:
    """Of one file. The service of a process that was killed may still be writing it."""
    until = time.monotonic() + _PATIENCE
    while _is_open(path) and time.monotonic() < until:
        time.sleep(0.2)
    return _step(path.read_bytes())


def _is_open(path: Path) -> bool:
    import psutil

    there = str(path.resolve())
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is somebody else's
            if any(file.path == there for file in process.open_files()):
                return True
    return False


def _step(data: bytes) -> int:
    """The step of a file's last row, -1 where there is none."""
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2 as protocol

    step = -1
    for part in _records(data):
        try:
            record = protocol.Record.FromString(part)  # type: ignore[attr-defined]
        except DecodeError:
            break
        if record.WhichOneof("record_type") == "history":
            step = record.history.step.num
    return step


def _records(data: bytes) -> Iterator[bytes]:
    """Records of LevelDB's log format, up to one that was cut short.

    Each is in parts of a checksum (4 bytes), a length (2), a kind (1) and so many bytes. No part goes over a block's
    end; less than a head before it is filled with zeros. The file itself has a head of the same length.
    """
    at, record = _HEAD, b""
    while at + _HEAD <= len(data):
        if (left := _BLOCK - at % _BLOCK) < _HEAD:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        part = data[at + _HEAD : at + _HEAD + length]
        if kind == 0 or len(part) < length:
            return
        at, record = at + _HEAD + length, record + part
        if kind in (_WHOLE, _LAST):
            yield record
            record = b""
