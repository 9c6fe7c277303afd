from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from puffer_core.contracts.logger import MetricLogger, RunInfo
from puffer_core.metrics import METRICS, JsonlLogger, LoggerFanout, read_metrics


def info(directory: Path) -> RunInfo:
    return RunInfo(id="r", directory=directory, trainer="t", source="e", config={}, unit="env_steps")


@pytest.fixture
def logger(tmp_path: Path) -> JsonlLogger:
    made = JsonlLogger()
    made.open(info(tmp_path), None)
    return made


def lines(directory: Path) -> list[Any]:
    return [json.loads(line) for line in (directory / METRICS).read_text().splitlines()]


def test_keys_are_sorted_after_the_step(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"b": 1.0, "a": 2.0})
    logger.close()
    assert (tmp_path / METRICS).read_text() == '{"step": 1, "a": 2.0, "b": 1.0}\n'


def test_what_is_not_finite_is_null(logger: JsonlLogger, tmp_path: Path) -> None:
    logger.log(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.0})
    logger.close()
    assert lines(tmp_path) == [{"step": 1, "a": None, "b": None, "c": None, "d": 0.0}]


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


def test_lines_reach_the_file_within_a_second(
    logger: JsonlLogger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger.log(1, {"a": 1.0})
    before = (tmp_path / METRICS).read_text()
    monkeypatch.setattr("puffer_core.metrics.monotonic", lambda: logger._flushed + 1.0)
    logger.log(2, {"a": 1.0})
    assert (before, len(lines(tmp_path))) == ("", 2)
    logger.close()


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


def test_going_on_with_nothing_logged_starts_the_file(tmp_path: Path) -> None:
    resumed = JsonlLogger()
    resumed.open(info(tmp_path), 2)
    resumed.log(3, {"a": 30.0})
    resumed.close()
    assert lines(tmp_path) == [{"step": 3, "a": 30.0}]


def test_closing_twice_is_safe(logger: JsonlLogger) -> None:
    logger.close()
    logger.close()
    assert isinstance(logger, MetricLogger)


def test_metrics_are_read_back_with_nan_and_without_half_a_line(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 1, "a": null}\n{"step": 2, "a": 3.0}\n{"st')
    first, second = read_metrics(tmp_path / METRICS)
    assert math.isnan(first["a"])
    assert second == {"step": 2, "a": 3.0}
    assert read_metrics(tmp_path / "none") == []


class Recording:
    def __init__(self, fails_in: str = "", error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self._fails_in, self._error = fails_in, error

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call == self._fails_in and self._error is not None:
            raise self._error

    def open(self, run: RunInfo, last_step: int | None) -> None:
        self._note("open")

    def log(self, step: int, metrics: Any) -> None:
        self._note("log")

    def artifact(self, step: int, name: str, kind: Any, value: Any) -> None:
        self._note("artifact")

    def close(self) -> None:
        self._note("close")


@pytest.mark.parametrize("error", [RuntimeError("down"), SystemExit(3)], ids=["error", "exit"])
@pytest.mark.parametrize("method", ["open", "log", "artifact", "close"])
def test_a_logger_that_raises_is_dropped_with_one_warning(tmp_path: Path, method: str, error: BaseException) -> None:
    good, bad, warnings = Recording(), Recording(method, error), []
    fanout = LoggerFanout({"bad": bad, "good": good}, warnings.append)
    use(fanout, tmp_path)
    assert good.calls == ["open", "log", "artifact", "log", "close"]
    assert bad.calls == good.calls[: good.calls.index(method) + 1]
    assert len(warnings) == 1
    assert f"logger bad was dropped: {method} raised {type(error).__name__}" in warnings[0]
    assert fanout.names == ("good",)


def use(fanout: LoggerFanout, directory: Path) -> None:
    fanout.open(info(directory), None)
    fanout.log(1, {})
    fanout.artifact(1, "x", "text", "y")
    fanout.log(2, {})
    fanout.close()


def test_ctrl_c_within_a_logger_still_ends_the_run(tmp_path: Path) -> None:
    fanout = LoggerFanout({"bad": Recording("log", KeyboardInterrupt())}, print)
    with pytest.raises(KeyboardInterrupt):
        use(fanout, tmp_path)
