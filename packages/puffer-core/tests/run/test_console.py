from __future__ import annotations

import io
import math
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from puffer_core.console import progress as progress_module
from puffer_core.console import run as console
from puffer_core.console.progress import Frame, Progress, clock, figure, sparkline
from puffer_core.console.run import EndOnly, Lines, LiveDisplay, make_display
from puffer_core.contracts.logger import RunInfo
from puffer_core.evaluation import Evaluation
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run
from puffer_core.run.display import Display, Silent
from puffer_core.run.loop import execute

METRICS = {
    "episode/return": 211.5,
    "episode/return_recent": 212.4,
    "episode/length": 211.5,
    "episode/count": 93.0,
    "loss/policy": -0.0123,
    "loss/value": 31.25,
    "loss/grad_norm": 0.4999,
    "policy/entropy": 0.523,
    "policy/kl": 0.0081,
    "policy/explained_variance": 0.913,
    "policy/clip_fraction": 0.104,
    "learning_rate": 3e-4,
    "time/env": 0.12,
    "time/policy": 0.3,
    "time/learn": 0.58,
    "eval/return": math.nan,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def info(source: str = "cartpole") -> RunInfo:
    directory = Path("runs/2026-11-22_1015_ppo_cartpole_7f3a")
    return RunInfo(id="r", directory=directory, trainer="ppo", source=source, config={}, unit="env_steps")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "config.json").write_text("{}")
    return Run(tmp_path, Evaluation(np.array([490.0, 500.0]), np.array([490, 500]), seed=0, deterministic=True))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1000.0

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(console, "monotonic", clock)
    monkeypatch.setattr(progress_module, "perf_counter", clock)
    return clock


def progress(time: Any, **rest: Any) -> Progress:
    made = Progress(info(**rest), 100_000)
    for step in range(5000, 65_000, 5000):
        time.now += 0.25
        made.add(step, METRICS | {"episode/return_recent": step / 200})
    return made


def drawn(made: Progress, width: int, *, encoding: str = "utf-8") -> list[str]:
    from rich.console import Console

    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width, force_terminal=False, legacy_windows=False).print(Frame(made))
    file.flush()
    return raw.getvalue().decode(encoding).splitlines()


def test_the_frame_at_80_columns(time: Any) -> None:
    lines = drawn(progress(time), 80)
    assert lines[0] == "ppo on cartpole  runs/2026-11-22_1015_ppo_cartpole_7f3a"
    assert lines[1].endswith(" 60%")
    assert lines[2] == "60,000 / 100,000 env steps  20,000/s"
    assert lines[3] == "0:03 passed  0:02 left  env 12%  policy 30%  learn 58%"
    assert lines[4].startswith("returns ▁▂")
    assert lines[4].endswith("█ 300")
    table = "\n".join(lines[5:])
    for text in (
        "loss policy      -0.0123",
        "kl                0.0081",
        "length             211.5",
        "explained variance 0.913",
    ):
        assert text in table
    assert "eval" not in table  # never evaluated so far
    assert len(lines) <= 10


def test_the_frame_is_there_before_the_first_update() -> None:
    terminal = Terminal()
    display = LiveDisplay(terminal)
    display.start(info(), 1000)
    assert "first update: compiling what it needs" in terminal.getvalue()
    display.end(None)


def test_time_left_is_told_by_the_pace_after_the_first_update(time: Any) -> None:
    made = Progress(info(), 10_000)
    time.now += 8.0  # it compiled
    made.add(1000, METRICS)
    assert made.remaining == ""
    assert drawn(made, 80)[3] == "0:08 passed  env 12%  policy 30%  learn 58%"
    time.now += 0.5
    made.add(2000, METRICS)
    assert made.remaining == "0:04 left"


@pytest.mark.parametrize("width", [120, 80, 40, 20, 1])
def test_no_line_is_wider_than_the_terminal(time: Any, width: int) -> None:
    made = progress(time, source="gymnasium:" + "x" * 100)
    assert all(len(line) <= width for line in drawn(made, width))


def test_a_terminal_without_unicode_gets_ascii(time: Any) -> None:
    lines = drawn(progress(time), 80, encoding="ascii")
    assert lines[1].startswith("####")
    assert not any(line.startswith("returns") for line in lines)


def test_a_value_that_is_missing_for_once_stays_on_screen(time: Any) -> None:
    made = progress(time)
    made.add(65_000, METRICS | {"episode/return": math.nan, "episode/return_recent": math.nan})
    assert made.metrics["episode/return"] == 211.5


def test_the_history_of_returns_stays_small(time: Any) -> None:
    made = progress(time)
    for step in range(3000):
        made.add(step, {"episode/return_recent": float(step)})
    assert len(made.returns) <= 512
    assert made.returns[-1] > 2990


def test_the_live_display_draws_at_most_four_times_a_second(time: Any) -> None:
    display = LiveDisplay(Terminal())
    display.start(info(), 1000)
    draws: list[float] = []
    display._draw = lambda: draws.append(time.now)  # type: ignore[method-assign]
    for step in range(100):
        time.now += 0.05
        display.update(step, METRICS)
    display.end(None)
    assert len(draws) <= 21
    assert all(b - a >= 0.249 for a, b in pairwise(draws[:-1]))


def test_a_slow_terminal_is_drawn_less_often(time: Any) -> None:
    display = LiveDisplay(Terminal())
    display.start(info(), 1000)
    draws: list[float] = []

    def slow() -> None:
        draws.append(time.now)
        time.now += 0.1

    display._draw = slow  # type: ignore[method-assign]
    for step in range(200):
        time.now += 0.1
        display.update(step, METRICS)
    display.end(None)
    assert len(draws) <= 4  # two in twenty seconds at a hundredth of the time, and the last


def test_the_live_display_gives_the_terminal_back_and_says_how_it_ended(run: Run) -> None:
    terminal = Terminal()
    display = LiveDisplay(terminal)
    display.start(info(), 1000)
    display.update(1000, METRICS)
    display.message("logger x was dropped")
    display.end(run)
    shown = terminal.getvalue()
    assert "logger x was dropped" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    assert f"puffer eval {run.directory}" in shown


def test_lines_come_every_two_seconds(time: Any, run: Run) -> None:
    out = io.StringIO()
    display = Lines(out)
    display.start(info(), 100_000)
    for step in range(1000, 51_000, 1000):
        time.now += 0.1
        display.update(step, METRICS)
    display.end(run)
    lines = out.getvalue().splitlines()
    assert lines[0] == f"training ppo on cartpole: 100,000 env steps, in {info().directory}"
    assert len(lines) == 1 + 3 + 4
    assert lines[1] == "  1%  step 1,000  10,000/s  return 212.4  length 211.5"
    assert lines[2] == " 21%  step 21,000  10,000/s  return 212.4  length 211.5  0:07 left"


def test_the_end_says_what_was_learned_where_it_is_and_how_to_go_on(time: Any, run: Run) -> None:
    out = io.StringIO()
    display = EndOnly(out)
    display.start(info(), 100_000)
    time.now += 4.0
    display.update(100_000, METRICS)
    display.end(run)
    assert out.getvalue().splitlines() == [
        "trained    100,000 env steps in 0:04 (25,000 a second)",
        "evaluated  mean return 495 +- 5, mean length 495, 2 episodes",
        f"run        {run.directory}",
        f"go on      puffer eval {run.directory}",
    ]


def test_a_run_that_failed_has_no_last_words() -> None:
    out = io.StringIO()
    display = EndOnly(out)
    display.start(info(), 10)
    display.end(None)
    assert out.getvalue() == ""


def test_messages_of_plain_displays_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Lines(io.StringIO()).message("careful")
    assert capsys.readouterr() == ("", "careful\n")


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [Broken(), None])
@pytest.mark.parametrize("display", [Lines(io.StringIO()), Silent()])
def test_a_message_that_nobody_can_read_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: Any, display: Display
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    display.message("careful")


@pytest.mark.parametrize("kind", [Lines, EndOnly])
def test_a_reader_that_went_away_does_not_end_the_run(kind: type[EndOnly], run: Run) -> None:
    display = kind(Broken())
    display.start(info(), 10)
    display.update(10, METRICS)
    display.end(run)


def test_a_stream_of_another_encoding_is_written_to_anyway(run: Run) -> None:
    raw = io.BytesIO()
    display = Lines(io.TextIOWrapper(raw, encoding="ascii"))
    display.start(info(source="é"), 10)
    assert raw.getvalue().startswith(b"training ppo on ?")


def test_the_display_suits_the_stream() -> None:
    assert type(make_display(stream=io.StringIO())) is Lines
    assert type(make_display(stream=Terminal())) is LiveDisplay
    assert type(make_display(stream=Terminal(), quiet=True)) is EndOnly


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_a_real_run_is_shown(plans: ModuleType, host: PluginHost, tmp_path: Path, stream: io.StringIO) -> None:
    run = execute(plans.plan(tmp_path / "r"), host, display=make_display(stream=stream))
    assert str(run.directory) in stream.getvalue().replace("\n", "")
    assert "evaluated  mean return" in stream.getvalue()


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (-0.000123456, "-0.000123"), (1234567.8, "1,234,568"), (math.inf, "inf")]
)
def test_figures(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_clock_and_sparkline_at_their_edges() -> None:
    assert clock(59.9) == "0:59"
    assert clock(86_400) == "24:00:00"
    assert sparkline([], 10) == sparkline([1.0], 10) == sparkline([1.0, 2.0], 1) == ""
    assert sparkline([2.0, 2.0], 10) == "▁▁"
