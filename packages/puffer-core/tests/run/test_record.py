"""What a run knows of itself: an evaluation that a signal ended is made after the resume; nothing is logged twice."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from puffer_core.checkpoints.reading import load
from puffer_core.evaluation import Evaluation
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run, RunDirectory
from puffer_core.run.loop import execute, run_in
from puffer_core.run.record import RunRecord
from puffer_core.run.signals import RunStopped


class Held(RunDirectory):
    """A directory that is held, whatever is in it."""

    def __init__(self, path: Path) -> None:
        self.path, self._new, self._workers, self._lock = path, False, [], None


def go_on(plans: ModuleType, host: PluginHost, path: Path, **changes: Any) -> Run:
    return run_in(Held(path), plans.plan(path, **changes), host, saved=load(Run(path).latest))


def lines(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith(("time/", "system/"))} for row in rows]


def test_what_was_read_is_let_go_of_once_it_is_taken(saved_run: Path, plans: ModuleType, host: PluginHost) -> None:
    saved = load(Run(saved_run).latest)
    run_in(Held(saved_run), plans.plan(saved_run, total_steps=32), host, saved=saved)
    assert saved.states == {}


@pytest.mark.parametrize(("eval_every", "at"), [(0, 32), (16, 16)])
def test_an_evaluation_that_a_signal_ended_is_made_and_logged_after_the_resume(
    plans: ModuleType,
    host: PluginHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eval_every: int,
    at: int,
) -> None:
    walk = plans.parts().Walk
    step = walk.step

    def interrupted(self: Any, action: Any, slot: int) -> Any:
        if self.spec.rows == 5:  # an evaluation's env
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, action, slot)

    whole = execute(plans.plan(tmp_path / "whole", eval_every=eval_every), host)
    with monkeypatch.context() as patched:
        patched.setattr(walk, "step", interrupted)
        with pytest.raises(RunStopped, match=f"at step {at};"):
            execute(plans.plan(tmp_path / "r", eval_every=eval_every), host)
    assert lines(tmp_path / "r")[-1]["step"] == at - 8  # the line waits for the evaluation's figures
    again = go_on(plans, host, tmp_path / "r", eval_every=eval_every)
    assert lines(tmp_path / "r") == lines(whole.directory)
    assert again.evaluation is not None
    assert whole.evaluation is not None
    assert again.evaluation.returns.tolist() == whole.evaluation.returns.tolist()


def test_training_ends_at_the_evaluation_that_reaches_the_target(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    run = execute(plans.plan(tmp_path / "r", eval_every=8, target_return=-1.0), host)
    assert run.latest.name == "step-000000000008"
    assert [line["step"] for line in run.metrics] == [8]
    assert go_on(plans, host, tmp_path / "r", eval_every=8, target_return=-1.0).latest == run.latest
    assert len(go_on(plans, host, tmp_path / "r", eval_every=8, target_return=1e9).metrics) == 4


def test_time_spent_adds_up_over_resumes(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    first = execute(plans.plan(tmp_path / "r", total_steps=8), host)
    record = load(first.latest).states["run"]
    assert record["seconds"] >= first.metrics[-1]["time/wall"]
    wall = [line["time/wall"] for line in go_on(plans, host, tmp_path / "r").metrics]
    assert wall == sorted(wall)
    assert wall[1] > record["seconds"]


def test_a_record_comes_back_as_it_was() -> None:
    record = RunRecord()
    found = Evaluation(np.array([1.0, 4.0]), np.array([2, 3]), seed=2**63 - 1, deterministic=True, cut=1)
    record.evaluated(16, found)
    record.logged, record.pending = 8, {"loss/policy": 0.5, "odd $key": float("nan")}
    again = RunRecord()
    again.load_state_dict(record.state_dict())
    assert (again.evaluated_at, again.logged, again.evaluation.summary()) == (16, 8, found.summary())  # type: ignore[union-attr]
    assert again.pending is not None
    assert repr(again.pending) == repr(record.pending)


def test_a_record_of_nothing_comes_back_as_nothing() -> None:
    again = RunRecord()
    again.load_state_dict(RunRecord().state_dict())
    assert (again.evaluated_at, again.evaluation, again.logged, again.pending) == (-1, None, -1, None)
