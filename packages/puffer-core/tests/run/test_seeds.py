"""Several seeds: each a run like any other, told together, gone on with, and ended together."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from puffer_core import api, train_seeds
from puffer_core.checkpoints.reading import load
from puffer_core.cli.evaluate import run_eval
from puffer_core.cli.main import main
from puffer_core.config import resolve
from puffer_core.console.seeds import LiveSeeds, SeedLines, make_seed_display, summary_lines
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run, hold
from puffer_core.run.overview import overview, runs
from puffer_core.run.seed_jobs import environment, how_many_at_once
from puffer_core.run.seeds import SeedRuns, gather
from puffer_core.statistics import aggregate

HERE = str(Path(__file__).parent)
LEARNER = "py:seed_guest:Learner"
OPTIONS: dict[str, Any] = {
    "total_steps": 64,
    "eval_episodes": 4,
    "policy": "py:seed_guest:Policy",
    "backend": "numpy",
    "vector": {"num_envs": 2, "mode": "serial"},
}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.discover(third_party=False, environ={})


def train(run: Path, host: PluginHost, **options: Any) -> SeedRuns:
    return train_seeds(LEARNER, env="py:seed_guest:Room", run=run, host=host, **({"seeds": 2} | OPTIONS | options))


@pytest.fixture(scope="module")
def trained(host: PluginHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("seeds") / "runs" / "many"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        train(place, host, seed=3)
    return place


@pytest.fixture
def many(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / "many"))


def policy_of(run: Run) -> str:
    return load(run.latest, []).manifest.files["policy.safetensors"].sha256


def test_each_seed_is_the_run_that_it_is_alone(many: Path, host: PluginHost, tmp_path: Path) -> None:
    alone = api.train(LEARNER, env="py:seed_guest:Room", run=tmp_path / "alone", seed=4, host=host, **OPTIONS)
    assert policy_of(Run(many / "seed-4")) == policy_of(alone)
    assert policy_of(Run(many / "seed-3")) != policy_of(alone)
    config = Run(many / "seed-4").config
    assert {name: value for name, value in alone.config.items() if config[name] != value}.keys() == {"run"}


def test_what_they_reached_is_told_together(many: Path) -> None:
    found = gather(many, [3, 4])
    assert [(seed.seed, seed.status, seed.step) for seed in found.seeds] == [(3, "finished", 64), (4, "finished", 64)]
    returns = [run.evaluation.mean_return for run in found.runs if run.evaluation]
    assert returns == [run.metrics[-1]["eval/return"] for run in found.runs]
    assert found.statistics == aggregate(returns)
    assert json.loads((many / "summary.json").read_text()) == json.loads(json.dumps(found.to_json()))
    lines = list(summary_lines(found))
    assert lines[0].split() == ["SEED", "STATUS", "MEAN", "RETURN", "STD", "STEPS", "TIME", "RUN"]
    assert lines[4].startswith("OVER 2 SEEDS")
    assert lines[-1].startswith("n = 2: ")


def test_what_is_finished_is_not_repeated(many: Path, host: PluginHost) -> None:
    before = {path: path.stat().st_mtime_ns for path in many.glob("seed-*/*")}
    found = train(many, host, seed=3, seeds=3, resume="auto")
    assert [seed.seed for seed in found.seeds] == [3, 4, 5]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert found.statistics is not None
    assert found.statistics.n == 3


def test_more_steps_go_on_with_every_seed(many: Path, host: PluginHost) -> None:
    assert {seed.step for seed in train(many, host, seed=3, total_steps=80, resume="auto").seeds} == {80}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the directory is not empty"),
        ({"resume": "auto", "vector": {"num_envs": 4}}, r"vector.num_envs: 2 in the run, 4 now"),
    ],
)
def test_what_would_spoil_runs_is_refused(many: Path, host: PluginHost, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train(many, host, seed=3, **options)
    assert sorted(path.name for path in many.glob("seed-*")) == ["seed-3", "seed-4"]


def test_a_directory_of_something_else_is_refused(many: Path, host: PluginHost) -> None:
    with pytest.raises(UsageError, match="does not hold several seeds"):
        train(many / "seed-3", host, resume="auto")


def test_two_processes_do_not_share_a_directory(many: Path, host: PluginHost) -> None:
    with hold(many), pytest.raises(Exception, match="another process writes this run"):
        train(many, host, seed=3, resume="auto")


def arguments(run: Path, *more: str) -> list[str]:
    policy = ["--policy", "py:seed_guest:Policy", "--backend", "numpy", "--vector.num-envs", "2"]
    return ["train", LEARNER, "py:seed_guest:Room", *policy, "--eval-episodes", "4", "--run", str(run), *more]


def test_others_go_on_where_one_fails_and_it_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEED_ORDERS", json.dumps({"0": "raise"}))
    run = tmp_path / "many"
    command = arguments(run, "--seeds", "2", "--total-steps", "64", "--checkpoint-every", "16", "--quiet")
    assert main(command) == 1
    said = capsys.readouterr()
    assert "seed 0: error:" in said.err
    assert "the learner broke" in said.err
    assert "1 of 2 seeds failed: seed 0 (exit code 1)" in said.err
    assert "OVER 1 SEED" in said.out
    assert overview(run / "seed-1").status == "finished"
    monkeypatch.delenv("SEED_ORDERS")
    again = said.err.splitlines()[-1].removeprefix("go on: puffer ").split()
    assert main([*again, "--quiet"]) == 0
    assert "OVER 2 SEEDS" in capsys.readouterr().out


def test_a_signal_saves_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEED_ORDERS", json.dumps({"0": "stop", "1": "stop"}))
    monkeypatch.setenv("SEED_PLACE", str(tmp_path))
    run = tmp_path / "many"
    more = ["--seeds", "3", "--parallel", "2", "--total-steps", "1000000000", "--checkpoint-seconds", "0"]
    assert main(arguments(run, *more)) == 143
    said = capsys.readouterr().err
    assert "stopped: 0 of 3 seeds are finished" in said
    stopped = [overview(run / f"seed-{seed}") for seed in (0, 1)]
    assert [(found.status, found.step >= 32) for found in stopped] == [("stopped", True)] * 2
    assert not (run / "seed-2").exists()
    assert not (run / "summary.json").exists()
    total = max(found.step for found in stopped) + 16
    assert main(["resume", str(run), "--total-steps", str(total), "--seeds", "2", "--quiet"]) == 0
    assert "OVER 2 SEEDS" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process that its parent has ended")
def test_a_seed_whose_parent_is_killed_saves_and_ends(tmp_path: Path) -> None:
    run, environ = tmp_path / "many", {"SEED_ORDERS": json.dumps({"0": "orphan"}), "PYTHONPATH": HERE}
    command = [sys.executable, "-m", "puffer_core", *arguments(run, "--seeds", "1", "--total-steps", "1000000000")]
    killed = subprocess.run(command, env=os.environ | environ, stdout=subprocess.DEVNULL, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    found = run / "seed-0"
    until = monotonic() + 30
    try:
        while overview(found).status == "running" and monotonic() < until:
            sleep(0.01)
        assert (overview(found).status, overview(found).step >= 32) == ("stopped", True)
    finally:
        if overview(found).status == "running":
            os.kill(json.loads((found / "run.lock").read_text())["pid"], signal.SIGKILL)


def test_without_scipy_nothing_starts(tmp_path: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UsageError) as refused:
        train(tmp_path / "many", host)
    assert refused.value.remedy == 'Install it: pip install "puffer-core[seeds]"'
    assert not (tmp_path / "many").exists()


def test_they_are_listed_with_their_path(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(many.parent)]) == 0
    said = capsys.readouterr().out
    assert "many/seed-3" in said
    assert "many/seed-4" in said
    assert {run.path for run in runs(many)} == {many / "seed-3", many / "seed-4"}


def test_they_are_evaluated_together(many: Path, host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_eval([str(many), "--episodes", "4", "--json"], host) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in found["runs"]] == ["seed-3", "seed-4"]
    finals = [Run(many / f"seed-{seed}").metrics[-1]["eval/return"] for seed in (3, 4)]
    assert [run["mean_return"] for run in found["runs"]] == finals
    assert found["statistics"]["n"] == 2
    assert run_eval([str(many), "--episodes", "4"], host) == 0
    assert "OVER 2 SEEDS" in capsys.readouterr().out
    with pytest.raises(UsageError, match="holds several seeds, expected one run"):
        run_eval([str(many), "--video"], host)


def test_a_command_for_one_run_says_that_there_are_several(many: Path, host: PluginHost) -> None:
    with pytest.raises(CheckpointError, match="the runs of 2 seeds, expected one run") as refused:
        api.load_policy(many, host=host)
    assert str(many / "seed-3") in refused.value.remedy


@pytest.mark.parametrize("where", ["file", "variable", "flag", "argument"])
def test_several_may_be_asked_for_wherever_options_are(host: PluginHost, where: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seeds = 3\nparallel = 2\n" if where == "file" else "")
    plan = resolve(
        host,
        LEARNER,
        "py:seed_guest:Room",
        file=tmp_path / "a.toml",
        environ={"PUFFER_SEEDS": "3", "PUFFER_PARALLEL": "2"} if where == "variable" else {},
        argv=["--seeds", "3", "--parallel", "2"] if where == "flag" else [],
        overrides={"policy": OPTIONS["policy"]} | ({"seeds": 3, "parallel": 2} if where == "argument" else {}),
    )
    assert (plan.several.seeds, plan.several.parallel) == (3, 2)
    assert "seeds" not in plan.tree


def test_train_gives_one_run(host: PluginHost, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got seeds=2, expected one run"):
        api.train(LEARNER, env="py:seed_guest:Room", run=tmp_path / "r", seeds=2, host=host, **OPTIONS)
    assert not (tmp_path / "r").exists()


def test_the_last_seed_is_a_seed_too(host: PluginHost, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected the last to be below 2\*\*63"):
        train(tmp_path / "r", host, seed=2**63 - 1)


@pytest.mark.parametrize(
    ("vector", "parallel", "cores", "expected"),
    [
        ({"mode": "serial"}, 0, 4, 4),
        ({"mode": "auto"}, 0, 16, 5),
        ({"mode": "process", "workers": 1}, 0, 4, 2),
        ({"mode": "process"}, 0, 4, 1),
        ({"mode": "process"}, 3, 4, 3),
        ({"mode": "serial"}, 9, 1, 5),
    ],
)
def test_as_many_at_once_as_the_cores_allow(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch, vector: dict[str, Any], parallel: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr("puffer_core.run.seed_jobs.cores", lambda: cores)
    given = {"policy": OPTIONS["policy"], "vector": vector, "parallel": parallel}
    assert how_many_at_once(resolve(host, LEARNER, "py:seed_guest:Room", overrides=given, environ={}), 5) == expected


def test_each_process_has_its_share_and_no_options_of_the_environment(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puffer_core.run.seed_jobs.cores", lambda: 8)
    given = {"PUFFER_SEED": "9", "PUFFER_PLUGINS": "puffer-ppo", "HOME": "/", "MKL_NUM_THREADS": "3"}
    made = environment(host, 3, given)
    assert "PUFFER_SEED" not in made
    assert (made["PUFFER_PLUGINS"], made["HOME"], made["PUFFER_CORES"]) == ("puffer-ppo", "/", "2")
    assert (made["OMP_NUM_THREADS"], made["MKL_NUM_THREADS"]) == ("2", "3")
    assert HERE in made["PYTHONPATH"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_line_of_each_seed_says_where_it_stands(many: Path, stream: type[io.StringIO]) -> None:
    out = stream()
    display = make_seed_display(stream=out)
    assert isinstance(display, LiveSeeds if out.isatty() else SeedLines)
    display.start(many, [3, 4, 5], [3], 2)
    display.started(4)
    display.tick()
    display.ended(4, 143)
    display.tick()
    display.ended(4, 5)
    display.said(4, "[red]brackets stay")
    display.end(gather(many, [3, 4, 5]))
    said = out.getvalue()
    for words in ("3 seeds, 2 at once", "seed 3  finished before", "seed 4  stopped", "seed 4  failed, exit code 5"):
        assert words in said


def test_a_reader_that_went_away_ends_nothing(many: Path) -> None:
    out = io.StringIO()
    display = make_seed_display(stream=out)
    out.close()
    display.start(many, [3], [3], 1)
    display.end(gather(many, [3]))


def test_options_that_are_damaged_are_said_to_be(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (many / "options.json").write_text("{")
    assert main(["resume", str(many)]) == 4
    assert "options.json: cannot be read" in capsys.readouterr().err
