"""Evaluations while a run trains: apart from it, the best is kept, and a target ends it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from puffer_core import api
from puffer_core.checkpoints.locating import locate
from puffer_core.checkpoints.reading import load, step_of
from puffer_core.cli.evaluate import run_eval
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run
from puffer_core.run.loop import execute
from puffer_core.run.overview import overview


def states(run: Run) -> dict[str, Any]:
    """Every file of the last checkpoint but what the run says of itself, by hash."""
    files = load(run.latest).manifest.files
    return {name: entry.sha256 for name, entry in files.items() if not name.startswith("run.")}


def evaluated(run: Run) -> dict[int, float]:
    """Mean returns of a run's evaluations, by step."""
    return {int(line["step"]): line["eval/return"] for line in run.metrics if not np.isnan(line["eval/return"])}


@pytest.fixture
def run(plans: ModuleType, host: PluginHost, tmp_path: Path) -> Run:
    """A run whose evaluations differ, the best of them in its midst."""
    plan = plans.plan(tmp_path / "r", eval_every=8, total_steps=64, keep_last=1, scale=2.0, noise=2.0, eval_episodes=20)
    return execute(plan, host)


@pytest.mark.parametrize("memory", [False, True])
def test_evaluating_does_not_touch_training(plans: ModuleType, host: PluginHost, tmp_path: Path, memory: bool) -> None:
    often, never = (
        execute(plans.plan(tmp_path / str(every), eval_every=every, memory=memory, scale=2.0), host) for every in (8, 0)
    )
    assert len(evaluated(often)) > len(evaluated(never)) == 1
    assert states(often) == states(never)
    apart = ("time/", "eval/", "system/")
    lines = [
        [{name: value for name, value in line.items() if not name.startswith(apart)} for line in run.metrics]
        for run in (often, never)
    ]
    assert str(lines[0]) == str(lines[1])  # NaN is not equal to itself


def test_evaluations_play_the_same_envs_each_time(run: Run, host: PluginHost) -> None:
    for path in run.checkpoints:
        found = api.evaluate(path, episodes=20, host=host)
        assert found.mean_return == evaluated(run)[step_of(path) or 0]


def test_the_best_is_kept_and_can_be_named(run: Run, host: PluginHost) -> None:
    scores = evaluated(run)
    best = max(scores, key=lambda step: (scores[step], -step))
    assert best != max(scores)
    assert [step_of(path) for path in run.checkpoints] == [best, max(scores)]
    assert locate(run, "best") == (run, run.checkpoints[0])
    assert api.evaluate(run, episodes=20, checkpoint="best", host=host).mean_return == scores[best]
    assert api.evaluate(run, episodes=20, checkpoint=max(scores), host=host).mean_return == scores[max(scores)]
    params = load(run.checkpoints[0]).states["policy"]
    assert np.array_equal(api.load_policy(run, checkpoint="best", host=host).agent.params["weight"], params["weight"])


def test_a_target_that_is_reached_ends_the_run_as_finished(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    plan = plans.plan(tmp_path / "r", eval_every=8, total_steps=10_000, target_return=0.0)
    run = execute(replace(plan, tree=plan.tree | {"target_return": 0.0}), host)
    assert (overview(run.directory).status, overview(run.directory).step) == ("finished", 8)
    assert [step_of(path) for path in run.checkpoints] == [8]
    assert run.evaluation is not None
    assert run.evaluation.mean_return >= 0.0


def test_a_target_that_is_missed_does_not(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    run = execute(plans.plan(tmp_path / "r", eval_every=8, target_return=1e9), host)
    assert (overview(run.directory).status, overview(run.directory).step) == ("finished", 32)


def test_the_command_says_which_checkpoint_and_seed(
    run: Run, host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_eval([str(run.directory), "--json", "--checkpoint", "best", "--seed", "3", "--sample"], host) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["seed"], printed["deterministic"], printed["episodes"]) == (3, False, 100)
    assert (printed["checkpoint"], printed["step"]) == (str(run.checkpoints[0]), step_of(run.checkpoints[0]))
    assert printed["interval_95"][0] < printed["mean_return"] < printed["interval_95"][1]
    assert run_eval([str(run.directory), "--episodes", "40"], host) == 0
    said = capsys.readouterr().out
    assert f"checkpoint   {run.latest}\n" in said
    assert "with 95 % confidence" in said


def test_a_checkpoint_that_is_not_there_is_told_which_are(run: Run, plans: ModuleType, host: PluginHost) -> None:
    steps = [step_of(path) for path in run.checkpoints]
    with pytest.raises(CheckpointError, match="no checkpoint of step 1,000,000") as missing:
        locate(run, 1_000_000)
    assert missing.value.remedy == f"checkpoints there: {steps[0]}, {steps[1]}"
    with pytest.raises(UsageError, match="got 'worst', expected last, best or a step"):
        locate(run, "worst")
    with pytest.raises(UsageError, match="which is a checkpoint, expected a run"):
        locate(run.latest, "best")


def test_without_evaluations_none_is_best(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    plan = plans.plan(tmp_path / "r", signal_at=2)
    with pytest.raises(Exception, match="stopped by SIGTERM"):
        execute(plan, host)
    with pytest.raises(CheckpointError, match="no checkpoint there has a score") as refused:
        locate(tmp_path / "r", "best")
    assert "--eval-every" in refused.value.remedy
