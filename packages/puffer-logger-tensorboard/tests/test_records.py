"""Records are the library's, byte for byte."""

from __future__ import annotations

import io

import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as library_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from puffer_logger_tensorboard.checksum import crc32c
from puffer_logger_tensorboard.records import frame, records


@pytest.mark.parametrize("size", [0, 1, 5000, 65_535, 65_536, 65_537, 67_000])
def test_a_checksum_is_the_librarys(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    assert crc32c(data) == library_crc32c(data)


@pytest.mark.parametrize("data", [b"", b"event", b"\xff" * 70_000])
def test_a_record_is_the_librarys(data: bytes) -> None:
    theirs = io.BytesIO()
    RecordWriter(theirs).write(data)
    assert frame(data) == theirs.getvalue()


def test_records_come_back() -> None:
    first, second = frame(b"first"), frame(b"")
    assert list(records(io.BytesIO(first + second))) == [
        (0, len(first), b"first"),
        (len(first), len(first + second), b""),
    ]
