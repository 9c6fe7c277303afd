"""Records of event files: the bytes of an event, between its length and checksums (TFRecord)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from puffer_logger_tensorboard.checksum import crc32c

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")


def frame(data: bytes) -> bytes:
    """A record that holds `data`, as tensorboard's `RecordWriter` writes it."""
    header = _LENGTH.pack(len(data))
    return header + _masked(crc32c(header)) + data + _masked(crc32c(data))


def records(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Where each record begins and ends, and what it holds, up to the first that is cut short or has no length."""
    start, header_size = 0, _LENGTH.size + _CHECKSUM.size
    while len(header := file.read(header_size)) == header_size:
        packed = header[: _LENGTH.size]
        if header[_LENGTH.size :] != _masked(crc32c(packed)):
            return
        (length,) = _LENGTH.unpack(packed)
        body = file.read(length + _CHECKSUM.size)
        if len(body) < length + _CHECKSUM.size:
            return
        end = start + header_size + len(body)
        yield start, end, body[:length]
        start = end


def _masked(checksum: int) -> bytes:
    """As records store it, so that checksums of what holds checksums stay meaningful."""
    return _CHECKSUM.pack(((checksum >> 15 | checksum << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)
