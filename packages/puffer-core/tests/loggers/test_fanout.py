from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.fanout import RunLoggers
from puffer_core.loggers.jsonl import METRICS
from puffer_core.loggers.marks import MARKS, Marks
from puffer_core.loggers.queue import Limits
from puffer_testing import ChaosLogger
from puffer_testing.faults import RAISE

QUICK = Limits(call=0.3, close=20.0, retries=(0.0, 0.0))


def info(directory: Path) -> RunInfo:
    return RunInfo(id="r", directory=directory, trainer="t", source="e", config={}, unit="env_steps")


def train(
    directory: Path,
    steps: range,
    last_step: int | None = None,
    limits: Limits = QUICK,
    warnings: list[str] | None = None,
    **loggers: Any,
) -> dict[str, float]:
    """A run that logs its steps, and an artifact with each."""
    told: list[str] = [] if warnings is None else warnings
    fanout = RunLoggers(loggers, directory, told.append, limits=limits)
    fanout.open(info(directory), last_step)
    for step in steps:
        fanout.log(step, {"loss": step / 2})
        fanout.artifact(step, "weights", "histogram", np.zeros(3))
    fanout.sync()
    fanout.close()
    return fanout.metrics()


def steps(logger: ChaosLogger) -> list[int]:
    return [step for step, _ in logger.lines]


def marks(directory: Path) -> Any:
    return json.loads((directory / MARKS).read_text())


@pytest.mark.parametrize("fault", RAISE)
@pytest.mark.parametrize("phase", ChaosLogger.PHASES)
def test_one_that_raises_is_named_once_and_harms_nobody(tmp_path: Path, phase: str, fault: str) -> None:
    bad, good, warnings = ChaosLogger(fault=fault, phase=phase), ChaosLogger(), []
    dropped = train(tmp_path, range(4), warnings=warnings, bad=bad, good=good)
    assert steps(good) == list(range(4))
    assert len(warnings) == 1, warnings
    assert f"logger bad{':' if phase == 'artifact' else ' was dropped:'} {phase} raised " in warnings[0]
    lost = {"open": 8, "log": 8, "artifact": 4, "close": 0}[phase]
    assert dropped == {"logger/jsonl/dropped": 0, "logger/bad/dropped": lost, "logger/good/dropped": 0}
    assert bad.calls.count("close") == (3 if phase == "close" else 1) + (phase == "close")


@pytest.mark.parametrize("phase", ["open", "log", "close"])
def test_one_that_raises_and_then_does_not_loses_nothing(tmp_path: Path, phase: str) -> None:
    logger, warnings = ChaosLogger(fault="raise", phase=phase, times=2), []
    assert train(tmp_path, range(4), warnings=warnings, shaky=logger)["logger/shaky/dropped"] == 0
    assert steps(logger) == list(range(4))
    assert warnings == [f"logger shaky: {phase} raised RuntimeError: chaos was asked for; the next try went well"] or (
        len(warnings) == 1 and warnings[0].endswith("; the next try went well")
    )


class Stuck:
    """Hangs in one method until it is let go."""

    def __init__(self, phase: str) -> None:
        self.phase, self.free, self.calls = phase, threading.Event(), []  # type: ignore[var-annotated]

    def _meet(self, phase: str) -> None:
        self.calls.append(phase)
        if phase == self.phase:
            self.free.wait()

    def open(self, run: RunInfo, last_step: int | None) -> None:
        self._meet("open")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._meet("log")

    def artifact(self, step: int, name: str, kind: Any, value: Any) -> None:
        self._meet("artifact")

    def close(self) -> None:
        self._meet("close")


@pytest.mark.parametrize("phase", ChaosLogger.PHASES)
def test_one_that_hangs_is_left_to_itself(tmp_path: Path, phase: str) -> None:
    stuck, good, warnings = Stuck(phase), ChaosLogger(), []
    dropped = train(tmp_path, range(4), warnings=warnings, stuck=stuck, good=good)
    assert steps(good) == list(range(4))
    assert len(warnings) == 1, warnings
    assert warnings[0].startswith(f"logger stuck was dropped: {phase} did not return within 0.3 s")
    assert dropped["logger/good/dropped"] == 0
    calls = len(stuck.calls)
    stuck.free.set()  # too late: nothing more is given to it
    for thread in threading.enumerate():
        if thread.name == "logger stuck":
            thread.join()
    assert len(stuck.calls) == calls


def test_the_end_of_a_run_waits_for_a_slow_one_no_longer_than_said(tmp_path: Path) -> None:
    stuck, warnings = Stuck("close"), []
    train(tmp_path, range(2), limits=Limits(call=60, close=0.2), warnings=warnings, stuck=stuck)
    stuck.free.set()
    assert [" ".join(line.split()[:3]) for line in warnings] == ["waiting for logger", "logger stuck was"]


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    stuck = Stuck("open")
    fanout = RunLoggers({"slow": stuck}, tmp_path, print, limits=Limits(items=3, call=60))
    fanout.open(info(tmp_path), None)
    for step in range(10):
        fanout.log(step, {"loss": 1.0})
    assert fanout.metrics()["logger/slow/dropped"] == 7
    stuck.free.set()
    fanout.close()
    assert stuck.calls == ["open", *["log"] * 3, "close"]
    assert marks(tmp_path) == {"slow": 2}


def test_artifacts_are_bounded_by_their_size_and_one_alone_may_be_larger(tmp_path: Path) -> None:
    stuck = Stuck("open")
    fanout = RunLoggers({"slow": stuck}, tmp_path, print, limits=Limits(artifact_bytes=100, call=60))
    fanout.open(info(tmp_path), None)
    for size in (1000, 10):
        fanout.artifact(1, "film", "video", np.zeros(size, np.uint8))
    assert fanout.metrics()["logger/slow/dropped"] == 1
    stuck.free.set()
    fanout.close()
    assert stuck.calls == ["open", "artifact", "close"]


def test_every_call_comes_from_one_thread_and_warnings_from_the_callers(tmp_path: Path) -> None:
    threads, told = [], []

    class Telling(ChaosLogger):
        def _meet(self, phase: str, step: int | None = None) -> None:
            threads.append(threading.current_thread())
            super()._meet(phase, step)

    fanout = RunLoggers(
        {"one": Telling(fault="raise", phase="close")},
        tmp_path,
        lambda _: told.append(threading.current_thread()),
        limits=QUICK,
    )
    fanout.open(info(tmp_path), None)
    fanout.log(1, {})
    fanout.close()
    assert len(set(threads)) == 1
    assert threads[0].daemon
    assert told == [threading.current_thread()]


def test_a_logger_may_change_what_it_is_given(tmp_path: Path) -> None:
    class Changing(ChaosLogger):
        def log(self, step: int, metrics: Any) -> None:
            metrics.clear()

    train(tmp_path, range(3), one=Changing(), other=ChaosLogger())
    assert (tmp_path / METRICS).read_text().splitlines()[2] == '{"step": 2, "loss": 1.0}'


def test_what_is_no_number_is_left_out_with_one_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    fanout = RunLoggers({}, tmp_path, warnings.append)
    fanout.open(info(tmp_path), None)
    for step in range(3):
        fanout.log(step, {"name": "x", "loss": np.float32(0.5), 3: None, "list": []})
    fanout.close()
    rows = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert rows[2] == {"step": 2, "3": None, "loss": 0.5}
    assert warnings == ["the metric 'name' is no number but of type str, and is left out, as others will be"]


def test_a_run_that_goes_on_gives_each_logger_what_it_lacks(tmp_path: Path) -> None:
    train(tmp_path, range(6), old=ChaosLogger())
    (tmp_path / MARKS).write_text('{"old": 2}')
    old, new = ChaosLogger(kept=(0, 1, 2, 3)), ChaosLogger()
    train(tmp_path, range(5, 8), last_step=4, old=old, new=new)
    assert (old.opened_at, new.opened_at) == (2, None)
    assert steps(old) == steps(new) == list(range(8))
    assert new.lines[1] == (1, {"loss": 0.5})
    assert marks(tmp_path) == {"new": 7, "old": 7}


def test_one_that_can_only_append_gets_nothing_twice(tmp_path: Path) -> None:
    train(tmp_path, range(6), log=ChaosLogger())
    ahead, behind = ChaosLogger(appends=True, kept=tuple(range(7))), ChaosLogger(appends=True, kept=(0, 1))
    train(tmp_path, range(4, 9), last_step=3, log=ahead, behind=behind)
    assert steps(ahead) == steps(behind) == list(range(9))


def test_a_mark_is_never_beyond_a_gap(tmp_path: Path) -> None:
    logger = ChaosLogger(fault="raise", step=3)
    train(tmp_path, range(6), gap=logger)
    assert marks(tmp_path) == {"gap": 2}
    again = ChaosLogger(kept=tuple(steps(logger)))
    train(tmp_path, range(6, 8), last_step=5, gap=again)
    assert steps(again) == list(range(8))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "x"}', '{"a": null}', "\0"])
def test_marks_that_cannot_be_read_count_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKS).write_text(text)
    warnings: list[str] = []
    assert Marks(tmp_path, warnings.append).read() == {}
    assert len(warnings) == 1


def test_marks_that_cannot_be_written_are_told_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    kept = Marks(tmp_path / "gone", warnings.append)
    kept.put("a", 1)
    kept.put("a", 2)
    (tmp_path / "gone").mkdir()
    kept.put("a", 2)
    assert (len(warnings), marks(tmp_path / "gone")) == (1, {"a": 2})


def test_closing_twice_and_before_opening_is_safe(tmp_path: Path) -> None:
    RunLoggers({"a": ChaosLogger()}, tmp_path, print).close()
    fanout = RunLoggers({"a": ChaosLogger()}, tmp_path, print)
    fanout.open(info(tmp_path), None)
    assert fanout.names == ("a",)
    fanout.close()
    fanout.close()
    assert fanout.names == ()


def test_a_metric_without_a_value_is_not_handed_on(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 1, "loss": null, "eval/return": 2.0}\n')
    logger = ChaosLogger()
    fanout = RunLoggers({"late": logger}, tmp_path, print)
    fanout.open(info(tmp_path), 1)
    fanout.log(2, {"loss": 0.5, "eval/return": math.nan})
    fanout.close()
    assert logger.lines == [(1, {"eval/return": 2.0}), (2, {"loss": 0.5})]
