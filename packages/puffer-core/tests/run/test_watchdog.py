"""N2: a run that makes no progress says where every thread and worker stands."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from puffer_core.run.watchdog import Watchdog


@pytest.fixture(autouse=True)
def no_timer_stays() -> Iterator[None]:
    yield
    faulthandler.cancel_dump_traceback_later()


class Stall:
    """A stall of this thread, which ends once it was warned of."""

    def __init__(self) -> None:
        self.warned = threading.Event()
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        self.lines.append(line)
        self.warned.set()

    def wait_in_a_function_with_a_name(self) -> None:
        assert self.warned.wait(60)
        self.warned.clear()


def test_a_stall_is_written_down_and_warned_of(tmp_path: Path) -> None:
    stall = Stall()
    with Watchdog(0.05, tmp_path, lambda: {17: "in its step", 18: ""}, stall.warn):
        stall.wait_in_a_function_with_a_name()
    (file,) = tmp_path.glob("stacks-*.txt")
    text = file.read_text()
    assert "no progress for 0.05 s" in text
    assert "wait_in_a_function_with_a_name" in text
    assert f"process {os.getpid()}" in text
    assert "worker 17\nin its step\n" in text
    assert "worker 18\n(it does not answer)\n" in text
    assert stall.lines[0].startswith("warning: no update for 0.05 s")
    assert str(file) in stall.lines[0]


def test_each_stall_is_told_once(tmp_path: Path) -> None:
    stall = Stall()
    with Watchdog(0.02, tmp_path, dict, stall.warn) as watchdog:
        stall.wait_in_a_function_with_a_name()
        assert not stall.warned.wait(0.2)  # ten times as long
        watchdog.progressed()
        stall.wait_in_a_function_with_a_name()
    assert len(stall.lines) == 2
    assert (tmp_path / "stacks-1.txt").read_text().count("no progress") == 2


def test_a_call_in_c_that_keeps_the_interpreter_is_seen(tmp_path: Path) -> None:
    with Watchdog(0.05, tmp_path, dict, lambda line: None):
        ctypes.PyDLL(None).usleep(300_000)  # a PyDLL call does not release the interpreter
    assert "test_a_call_in_c_that_keeps_the_interpreter_is_seen" in (tmp_path / "stacks-1.txt").read_text()


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_without_a_stall_nothing_stays(tmp_path: Path, seconds: float) -> None:
    with Watchdog(seconds, tmp_path, dict, pytest.fail) as watchdog:
        watchdog.progressed()
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_process_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / "stacks-1.txt").write_text("earlier")
    (tmp_path / "stacks-2.txt").touch()
    stall = Stall()
    with Watchdog(0.02, tmp_path, dict, stall.warn):
        stall.wait_in_a_function_with_a_name()
    assert (tmp_path / "stacks-1.txt").read_text() == "earlier"
    assert "no progress" in (tmp_path / "stacks-2.txt").read_text()
