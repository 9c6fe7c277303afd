"""Training: killed runs go on bit for bit, and what cannot be is refused in words."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from puffer_core.arrays import named_leaves
from puffer_core.checkpoints.reading import Checkpoint, load
from puffer_core.config.resolve import resolve
from puffer_core.errors import UsageError
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.evaluating import evaluate_agent
from puffer_core.run.record import RunRecord
from puffer_testing.components import host

pytest.importorskip("puffer_ppo")

SMALL = ["--vector.num-envs=8", "--horizon=8", "--minibatches=2", "--epochs=1", "--policy=mingru"]
SMALL += ["--env.max-steps-in-episode=12", "--eval-episodes=2"]


def context(*flags: str) -> RunContext:
    return RunContext(resolve(host(), "ppo", "gymnax:CartPole-v1", argv=[*SMALL, *flags], environ={}), host())


def saved(run: RunContext, trainer: object, where: Path) -> Checkpoint:
    with RunDirectory(where, "ppo", "env") as directory:
        return load(persistence.save(run, trainer, RunRecord(), directory))


def same(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether everything is equal that a run goes on from."""
    assert one.states.keys() == other.states.keys()
    pairs = ((one.states[name], other.states[name]) for name in one.states if name != "run")
    leaves = [(dict(named_leaves(a)), dict(named_leaves(b))) for a, b in pairs]
    return all(a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a) for a, b in leaves)


def test_a_run_that_goes_on_is_the_run_that_did_not_stop(tmp_path: Path) -> None:
    run = context()
    trainer = run.trainer()
    for _ in range(3):
        trainer.update()
    half = saved(run, trainer, tmp_path / "half")
    assert half.manifest.resume.bitwise
    for _ in range(3):
        trainer.update()
    whole = saved(run, trainer, tmp_path / "whole")
    again = context()
    resumed = again.trainer()
    persistence.restore(again, resumed, RunRecord(), half)
    for _ in range(3):
        resumed.update()
    assert same(whole, saved(again, resumed, tmp_path / "resumed"))
    assert not same(whole, half)
    evaluation = evaluate_agent(again, resumed.agent, bool)
    assert evaluation.episodes == 2
    assert evaluation.mean_length <= 12


@pytest.mark.faults
def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    def puffer(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "puffer_core", *arguments], stderr=subprocess.DEVNULL)

    flags = [*SMALL, "--total-steps=51200", "--checkpoint-every=12800", "--keep-last=0"]
    train = ["train", "ppo", "gymnax:CartPole-v1", *flags, "--run"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert puffer(*train, str(whole)).wait() == 0
    process = puffer(*train, str(killed))
    deadline = time.monotonic() + 120
    while not (killed / "checkpoints" / "step-000000012800" / "manifest.json").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    assert puffer("resume", str(killed)).wait() == 0
    ends = [load(run / "checkpoints" / "step-000000051200") for run in (whole, killed)]
    assert same(*ends)


def test_its_backend_is_the_default() -> None:
    assert context().plan.backend.spec.name == "jax"


def test_another_backend_is_refused_by_name() -> None:
    with pytest.raises(UsageError) as caught:
        context("--backend=torch")
    assert "expected a backend that env gymnax:CartPole-v1 runs on: jax" in str(caught.value)
    assert "--backend jax" in str(caught.value)


@pytest.mark.parametrize("flag", ["--vector.mode=serial", "--vector.workers=2", "--vector.batches=2"])
def test_ways_of_stepping_are_refused(flag: str) -> None:
    with pytest.raises(UsageError, match=flag.partition("=")[0]):
        _ = context(flag).env
