"""A run goes on: no step twice, none missing, whatever a crash left."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import metadata

from puffer_core.contracts.logger import RunInfo
from puffer_logger_tensorboard.files import EventFile, event_files, keep_up_to
from puffer_logger_tensorboard.logger import TensorBoardLogger

Read = Callable[[], EventAccumulator]


def write(run: RunInfo, last_step: int | None, *steps: int, offset: float = 0.0) -> None:
    logger = TensorBoardLogger()
    logger.open(run, last_step)
    for step in steps:
        logger.log(step, {"loss": step + offset})
    logger.close()


def steps(read: EventAccumulator, key: str = "loss") -> list[int]:
    return [event.step for event in read.Scalars(key)]


def test_it_goes_on_in_the_same_directory(run: RunInfo, events: Path, read: Read) -> None:
    write(run, None, 10, 20)
    write(run, 20, 30, 40)
    assert steps(read()) == [10, 20, 30, 40]
    assert len(event_files(events)) == 2


def test_orphans_are_replaced(run: RunInfo, read: Read) -> None:
    write(run, None, 10, 20, 30, 40)
    write(run, 20, 25, 30, 50, offset=0.5)
    assert [(event.step, event.value) for event in read().Scalars("loss")] == [
        (10, 10), (20, 20), (25, 25.5), (30, 30.5), (50, 50.5),
    ]  # fmt: skip


def test_orphans_of_a_key_that_does_not_come_again_are_gone(run: RunInfo, read: Read) -> None:
    logger = TensorBoardLogger()
    logger.open(run, None)
    logger.log(10, {"loss": 1.0})
    logger.log(20, {"rare": 1.0})
    logger.close()
    write(run, 10, 20)
    assert read().Tags()["scalars"] == ["loss"]


def test_a_reader_that_is_looking_forgets_orphans_too(run: RunInfo, read: Read) -> None:
    write(run, None, 10, 20, 30)
    looking = read()
    assert steps(looking) == [10, 20, 30]
    write(run, 10, 15, 20)
    assert steps(looking.Reload()) == [10, 15, 20]


def test_it_may_crash_and_go_back_again_and_again(run: RunInfo, read: Read) -> None:
    write(run, None, 10, 20, 30)
    write(run, 20, 30, 40, 50)
    write(run, 40, 50, 60)
    write(run, 10, 20, 30)
    assert steps(read()) == [10, 20, 30]


def test_a_new_run_finds_nothing_of_an_old_one(run: RunInfo, events: Path, read: Read) -> None:
    write(run, None, 10, 20)
    write(run, None, 15)
    assert steps(read()) == [15]
    assert len(event_files(events)) == 1


def test_files_of_others_are_left_alone(run: RunInfo, events: Path) -> None:
    events.mkdir()
    other = events / "events.out.tfevents.1700000000.host.1.0"
    other.write_bytes(b"theirs")
    write(run, None, 10)
    write(run, None, 10)
    assert other.read_bytes() == b"theirs"


def test_hyperparameters_are_written_once(run: RunInfo, read: Read) -> None:
    write(run, None, 10)
    write(run, 10, 20)
    assert len(read().Tensors(metadata.SESSION_START_INFO_TAG)) == 1


@pytest.mark.parametrize("lost", [1, 4, 20, 60])
def test_an_event_that_was_cut_short_is_written_anew(run: RunInfo, events: Path, read: Read, lost: int) -> None:
    write(run, None, 10, 20, 30)
    (path,) = event_files(events)
    os.truncate(path, path.stat().st_size - lost)
    write(run, 10, 20, 30, 40)
    assert steps(read()) == [10, 20, 30, 40]


@pytest.mark.parametrize("tail", [b"\0" * 40, b"x" * 40, b"\1"])
def test_rubbish_at_the_end_is_taken_away(run: RunInfo, events: Path, read: Read, tail: bytes) -> None:
    write(run, None, 10, 20)
    (path,) = event_files(events)
    with path.open("ab") as file:
        file.write(tail)
    write(run, 20, 30)
    assert steps(read()) == [10, 20, 30]
    assert not path.read_bytes().endswith(tail)


def test_an_event_that_says_nothing_ends_what_is_read(run: RunInfo, events: Path, read: Read) -> None:
    write(run, None, 10, 20)
    (path,) = event_files(events)
    data = path.read_bytes()
    path.write_bytes(data[:-20] + b"\xff" * 20)
    write(run, 10, 20)
    assert steps(read()) == [10, 20]


def test_names_rise_where_the_clock_goes_back(
    run: RunInfo, read: Read, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for clock, begin in ((2e9, 0), (1.9e9, 10), (1.9e9, 20)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        write(run, begin or None, begin + 10)
    assert steps(read()) == [10, 20, 30]
    assert [path.name.split(".")[3] for path in event_files(events)] == ["2000000000", "2000000001", "2000000002"]


def test_nothing_is_rewritten_where_nothing_is_beyond(run: RunInfo, events: Path) -> None:
    write(run, None, 10)
    (path,) = event_files(events)
    before = path.stat()
    assert keep_up_to(events, 10) == 10
    assert path.stat().st_ino == before.st_ino


def test_a_killed_process_loses_nothing(run: RunInfo, tmp_path: Path, read: Read) -> None:
    code = f"""
import os, signal
from pathlib import Path
from puffer_core.contracts.logger import RunInfo
from puffer_logger_tensorboard import TensorBoardLogger
run = RunInfo(id="r", directory=Path({str(tmp_path)!r}), trainer="t", source="e", config={{}}, unit="env_steps")
logger = TensorBoardLogger()
logger.open(run, None)
for step in range(100):
    logger.log(step, {{"loss": step}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert steps(read()) == list(range(100))
    write(run, 49, *range(50, 120))
    assert steps(read()) == list(range(120))


def test_an_event_that_finds_no_room_leaves_nothing_and_can_be_written_again(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    (path,) = event_files(tmp_path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 8, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            file.append(Event(step=1))
        assert path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    file.append(Event(step=2))
    file.close()
    assert [event.step for event in EventAccumulator(str(tmp_path))._generator.Load()] == [0, 2]


def test_it_says_what_it_has(run: RunInfo, events: Path) -> None:
    write(run, None, 10, 20, 30)
    (path,) = event_files(events)
    os.truncate(path, path.stat().st_size - 1)  # a loss of power took the end
    for last_step, there in ((30, 20), (15, 10), (None, -1)):
        logger = TensorBoardLogger()
        assert logger.open(run, last_step) == there
        logger.close()
