from __future__ import annotations

import json
import math
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from puffer_core.contracts.logger import MetricLogger, RunInfo
from puffer_core.errors import CheckpointError
from puffer_core.loggers.fanout import RunLoggers
from puffer_core.loggers.jsonl import METRICS, JsonlLogger, iterate_metrics, read_metrics


def info(directory: Path) -> RunInfo:
    return RunInfo(id="r", directory=directory, trainer="t", source="e", config={}, unit="env_steps")


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[JsonlLogger]:
    made = JsonlLogger(most=10)
    made.open(info(tmp_path), None)
    yield made
    made.close()


def lines(directory: Path) -> list[Any]:
    return [json.loads(line) for line in (directory / METRICS).read_text().splitlines()]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size`: what a full disk does, to everybody here."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_keys_are_sorted_after_the_step(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"b": 1.0, "a": 2.0})
    logger.close()
    assert (tmp_path / METRICS).read_text() == '{"step": 1, "a": 2.0, "b": 1.0}\n'


def test_what_is_not_finite_is_null(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.0, "e": 10**400})
    logger.close()
    assert lines(tmp_path) == [{"step": 1, "a": None, "b": None, "c": None, "d": 0.0, "e": None}]


def test_a_key_that_was_there_once_is_in_every_later_line(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"a": 1.0})
    logger.log(2, {"b": 2.0})
    logger.log(3, {})
    logger.close()
    assert lines(tmp_path) == [
        {"step": 1, "a": 1.0},
        {"step": 2, "a": None, "b": 2.0},
        {"step": 3, "a": None, "b": None},
    ]


def test_lines_reach_the_file_by_themselves(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"a": 1.0})
    while not (tmp_path / METRICS).stat().st_size:
        time.sleep(0.01)
    assert lines(tmp_path) == [{"step": 1, "a": 1.0}]


def test_sync_writes_everything(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"a": 1.0})
    logger.sync()
    assert lines(tmp_path) == [{"step": 1, "a": 1.0}]


def test_nothing_is_dropped_for_want_of_speed(logger: JsonlLogger, tmp_path: Path) -> None:
    for step in range(1000):
        logger.log(step, {"a": 1.0})
    logger.close()
    assert [line["step"] for line in lines(tmp_path)] == list(range(1000))
    assert logger.dropped == 0


def test_going_on_removes_what_came_after_the_checkpoint_and_half_a_line(logger: JsonlLogger, tmp_path: Path) -> None:
    for step in (1, 2, 3):
        logger.log(step, {"a": float(step), "b": 0.0})
    logger.close()
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 4, "a"')
    resumed = JsonlLogger()
    resumed.open(info(tmp_path), 2)
    resumed.log(3, {"a": 30.0})
    resumed.close()
    assert lines(tmp_path) == [
        {"step": 1, "a": 1.0, "b": 0.0},
        {"step": 2, "a": 2.0, "b": 0.0},
        {"step": 3, "a": 30.0, "b": None},
    ]


@pytest.mark.parametrize("tail", [b'{"step": 3', b"\0" * 100, b"\0\n", b"\xff\xfe\n", b'{"step": 3}'])
def test_rubbish_that_a_loss_of_power_left_is_removed(logger: JsonlLogger, tmp_path: Path, tail: bytes) -> None:
    logger.log(1, {"a": 1.0})
    logger.close()
    with (tmp_path / METRICS).open("ab") as file:
        file.write(tail)
    resumed = JsonlLogger()
    resumed.open(info(tmp_path), 5)
    resumed.log(6, {"a": 6.0})
    resumed.close()
    assert lines(tmp_path) == [{"step": 1, "a": 1.0}, {"step": 6, "a": 6.0}]


@pytest.mark.parametrize("rubbish", [b"\0\n", b"nonsense\n", b"[1]\n", b'{"loss": 1.0}\n'])
def test_a_line_that_cannot_be_read_costs_none_of_those_around_it(
    logger: JsonlLogger, tmp_path: Path, rubbish: bytes
) -> None:
    for step in (1, 2, 3, 4):
        logger.log(step, {"a": float(step)})
    logger.close()
    whole = (tmp_path / METRICS).read_bytes().splitlines(keepends=True)
    (tmp_path / METRICS).write_bytes(b"".join([whole[0], rubbish, *whole[2:]]))
    with pytest.raises(CheckpointError, match="line 2"):
        read_metrics(tmp_path / METRICS)
    resumed = JsonlLogger()
    resumed.open(info(tmp_path), 3)
    resumed.close()
    assert lines(tmp_path) == [{"step": 1, "a": 1.0}, {"step": 3, "a": 3.0}]
    assert resumed.lost == f"{METRICS}: lines that could not be read, and were removed: 1; the others stay"


@pytest.mark.parametrize(("kept", "told"), [(b"", "those after step 0 are lost"), (None, "is gone")])
def test_lines_that_should_be_there_are_missed(tmp_path: Path, kept: bytes | None, told: str) -> None:
    if kept is not None:
        (tmp_path / METRICS).write_bytes(kept)
    warnings: list[str] = []
    loggers = RunLoggers({}, tmp_path, warnings.append)
    loggers.open(info(tmp_path), 8)
    loggers.close()
    assert len(warnings) == 1
    assert told in warnings[0]


def test_going_on_with_nothing_logged_starts_the_file(tmp_path: Path) -> None:
    resumed = JsonlLogger()
    resumed.open(info(tmp_path), 2)
    resumed.log(3, {"a": 30.0})
    resumed.close()
    assert lines(tmp_path) == [{"step": 3, "a": 30.0}]


def test_a_full_disk_keeps_whole_lines_and_the_others_wait(logger: JsonlLogger, tmp_path: Path) -> None:
    with file_size_limit(50):
        for step in range(4):
            logger.log(step, {"a": float(step)})
        with pytest.raises(OSError, match="File too large"):
            logger.sync()
        assert isinstance(logger.failure, OSError)
        assert all(line.endswith("}") for line in (tmp_path / METRICS).read_text().splitlines())
    logger.sync()
    assert logger.failure is None
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2, 3]


def test_what_a_full_disk_and_memory_have_no_room_for_is_counted(logger: JsonlLogger, tmp_path: Path) -> None:
    with file_size_limit(0):
        for step in range(15):
            logger.log(step, {"a": float(step)})
        assert logger.dropped == 5
    logger.close()
    assert [line["step"] for line in lines(tmp_path)] == list(range(10))


def test_what_cannot_be_written_at_the_end_is_counted(logger: JsonlLogger) -> None:
    with file_size_limit(0):
        logger.log(1, {"a": 1.0})
        with pytest.raises(OSError, match="File too large"):
            logger.close()
    assert logger.dropped == 1


def test_closing_twice_is_safe(logger: JsonlLogger) -> None:
    logger.close()
    logger.close()
    assert isinstance(logger, MetricLogger)


def test_metrics_are_read_back_with_nan_and_without_half_a_line(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 1, "a": null}\n{"step": 2, "a": 3.0}\n{"st')
    first, second = read_metrics(tmp_path / METRICS)
    assert math.isnan(first["a"])
    assert second == {"step": 2, "a": 3.0}
    assert [step for step, _ in iterate_metrics(tmp_path / METRICS)] == [1, 2]
    assert read_metrics(tmp_path / "none") == []
