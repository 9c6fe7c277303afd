"""Runs that change engines, through files: what one engine saved, the other takes over and learns on from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import puffer_core
from puffer_core.checkpoints.reading import Checkpoint, load
from puffer_core.errors import CheckpointError
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run

ENGINES = ("jax", "torch")
SMALL: dict[str, Any] = {
    "horizon": 16,
    "minibatches": 2,
    "epochs": 2,
    "vector": {"num_envs": 4},
    "eval_episodes": 2,
    "normalize_reward": True,
    "learning_rate_schedule": "constant",
    "quiet": True,
}
HALF, WHOLE = 128, 192  # two updates, and one more
POLICIES = {
    "mlp": {"name": "mlp", "hidden_sizes": [16], "normalize_observation": True},
    "lstm": {"name": "lstm", "hidden_size": 8, "layer_sizes": [8]},
}
ONCE = {"rtol": 1e-5, "atol": 1e-5}
"""One update apart: float32 rounding, through eight steps of Adam."""


@pytest.fixture(scope="module", params=POLICIES)
def halves(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of two updates on each engine."""
    where = tmp_path_factory.mktemp(request.param)
    for engine in ENGINES:
        train(where / engine, engine, POLICIES[request.param], HALF)
    return {engine: where / engine for engine in ENGINES}


def train(run: Path, engine: str, policy: dict[str, Any], total_steps: int) -> None:
    options = SMALL | {"policy": policy, "total_steps": total_steps, "run": str(run)}
    puffer_core.train("ppo", env="cartpole", backend=engine, **options)


def puffer(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "puffer_core", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def last(run: Path) -> Checkpoint:
    return load(Run(run).latest)


@pytest.mark.parametrize(("first", "second"), [ENGINES, ENGINES[::-1]], ids=["jax-torch", "torch-jax"])
def test_the_other_engine_learns_what_the_first_would_have(
    halves: dict[str, Path], tmp_path: Path, first: str, second: str
) -> None:
    runs = {engine: Path(shutil.copytree(halves[first], tmp_path / engine)) for engine in ENGINES}
    for engine, run in runs.items():
        puffer_core.resume(run, total_steps=WHOLE, backend=engine)
    stayed, crossed = last(runs[first]), last(runs[second])
    half = last(halves[first]).states["policy"]
    assert crossed.manifest.step == WHOLE
    for name, value in stayed.states["policy"].items():
        np.testing.assert_allclose(crossed.states["policy"][name], value, **ONCE, err_msg=name)
        assert (value != half[name]).any(), name
    for name, value in stayed.states["trainer"]["optimizer"].items():
        np.testing.assert_allclose(crossed.states["trainer"]["optimizer"][name], value, **ONCE, err_msg=name)
    kept = [json.loads((run / "resumes.jsonl").read_text()) for run in runs.values()]
    entries = dict(zip(runs, kept, strict=True))
    assert entries[first]["bitwise"] is True
    assert entries[second]["bitwise"] is False
    assert entries[second]["changes"]["backend.name"] == {"from": first, "to": second}
    assert entries[second]["reasons"] == [
        f"backend.name: '{first}' in the run, '{second}' now: numbers are rounded otherwise"
    ]
    assert Run(runs[second]).config["backend"]["name"] == second
    assert crossed.manifest.runtime["backend"]["name"] == second


@pytest.mark.parametrize("halves", ["mlp"], indirect=True)
def test_an_engine_that_is_gone_can_be_replaced(halves: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(halves["jax"], tmp_path / "run"))
    host = PluginHost.discover(blocked=["puffer-backend-jax"])
    with pytest.raises(CheckpointError, match="backend jax is of puffer-backend-jax"):
        puffer_core.resume(run, total_steps=WHOLE, host=host)
    puffer_core.resume(run, total_steps=WHOLE, backend="torch", host=host)
    assert last(run).manifest.step == WHOLE


@pytest.mark.parametrize("halves", ["lstm"], indirect=True)
def test_a_resumed_process_is_the_run_that_never_stopped(halves: dict[str, Path], tmp_path: Path) -> None:
    resumed, whole = Path(shutil.copytree(halves["jax"], tmp_path / "resumed")), tmp_path / "whole"
    puffer("resume", str(resumed), "--total-steps", str(WHOLE))
    train(whole, "jax", POLICIES["lstm"], WHOLE)
    for name, file in last(whole).manifest.files.items():
        if not name.startswith("run."):  # which holds the time that was spent
            assert last(resumed).manifest.files[name].sha256 == file.sha256, name
    assert last(whole).manifest.resume.bitwise


@pytest.mark.parametrize("halves", ["lstm"], indirect=True)
def test_a_run_is_judged_where_its_engine_cannot_be_imported(halves: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "jax.py").write_text("raise ImportError('there is no jax here')\n")
    expected = puffer_core.evaluate(halves["jax"], episodes=3, seed=5)
    judged = puffer("eval", str(halves["jax"]), "--episodes", "3", "--seed", "5", "--json", PYTHONPATH=str(tmp_path))
    assert json.loads(judged)["mean_return"] == expected.mean_return
