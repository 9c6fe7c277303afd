"""K3: an internal error while a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Injecting = Callable[..., AbstractContextManager[Any]]
EXPECTED = "exit 1, two lines; a report in the run with versions, config, plugins, traceback and last metrics"


def check(ended: Any) -> None:
    assert ended.code == 1, ended.stderr
    error, more = ended.stderr.strip().splitlines()
    assert error.startswith("error: internal error: RuntimeError: the plugin broke (in rooms, line ")
    assert more.endswith("are in run/crash-1.txt.")
    report = (ended.run / "crash-1.txt").read_text()
    for part in ("versions\npython ", "plugins\n", "Traceback (most recent call last)", '"total_steps": 128', "numpy "):
        assert part in report
    assert json.loads(report.partition("=== last lines of metrics.jsonl\n")[2].splitlines()[0])["step"] == 32


def test_a_trainer_that_breaks(tmp_path: Path, train: Callable[..., Any], injecting: Injecting) -> None:
    with injecting("K3", "an internal error in trainer, state or policy during a run", EXPECTED) as row:
        ended = train(tmp_path, phase="learn", at=2, do="raise")
        check(ended)
        assert ended.sound == ["step-000000000032"]
        row.took(ended.seconds)


@pytest.mark.faults
@pytest.mark.parametrize("phase", ["save", "act"])
def test_others_that_break(tmp_path: Path, train: Callable[..., Any], injecting: Injecting, phase: str) -> None:
    with injecting("K3", "an internal error in trainer, state or policy during a run", EXPECTED) as row:
        ended = train(tmp_path, phase=phase, at={"save": 2, "act": 10}[phase], do="raise")
        check(ended)
        row.took(ended.seconds)


def test_before_a_run_begins_nothing_is_left(tmp_path: Path, train: Callable[..., Any]) -> None:
    ended = train(tmp_path, phase="start", do="raise")
    assert ended.code == 1
    assert "`puffer --debug train ...` shows the traceback" in ended.stderr
    assert not ended.run.exists()
