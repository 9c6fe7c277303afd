"""What may change when a run is resumed, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from puffer_core import api
from puffer_core.cli.resume import resume_help, run_resume
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.plan import RunOptions, VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.run.changes import MAY_CHANGE, Change, changes, may_change
from puffer_core.run.directory import Run

OTHER: dict[str, Any] = {
    "total_steps": 40,
    "eval_every": 8,
    "eval_episodes": 3,
    "target_return": 1e6,
    "checkpoint_every": 16,
    "checkpoint_seconds": 5.0,
    "keep_last": 2,
    "keep_best": 0,
    "keep_every": 8,
    "stall_seconds": 0.0,
    "quiet": True,
    "vector.mode": "native",
    "vector.workers": 1,
    "vector.isolate": True,
    "vector.timeout": 5.0,
    "vector.restarts": 3,
    "vector.poison": True,
}
"""Another value for everything that may change."""
REFUSED = {
    "--seed": "1",
    "--noise": "0.5",
    "--horizon": "8",
    "--vector.num-envs": "4",
    "--vector.batches": "2",
    "--env.length": "9",
    "--policy.scale": "0.5",
    "--policy.memory": "true",
    "--source": "other",
}
FIXED = {"seed", "run", "resume", "best_metric"}  # scores by one metric cannot be compared with those by another


def nested(name: str, value: Any) -> dict[str, Any]:
    head, dot, last = name.rpartition(".")
    return {head: {last: value}} if dot else {name: value}


@pytest.fixture
def tree(host: PluginHost) -> dict[str, Any]:
    from puffer_core.config import resolve

    return resolve(host, "search", "walk", environ={}).tree


def test_every_option_of_a_run_was_thought_of() -> None:
    assert set(RunOptions.model_fields) == FIXED | {name for name in MAY_CHANGE if "." not in name}
    vector = {name.partition(".")[2] for name in MAY_CHANGE if name.startswith("vector.")}
    assert set(VectorConfig.model_fields) == vector | {"num_envs", "batches"}
    assert set(OTHER) == set(MAY_CHANGE)


@pytest.mark.parametrize("name", MAY_CHANGE)
def test_what_may_change_is_told_with_both_values(tree: dict[str, Any], name: str) -> None:
    section, _, last = name.rpartition(".")
    old = (tree[section] if section else tree)[last]
    assert old != OTHER[name]
    part = nested(name, OTHER[name])
    new = tree | ({section: tree[section] | part[section]} if section else part)
    assert changes(tree, new) == {name: Change(old, OTHER[name])}


@pytest.mark.parametrize("flag", REFUSED)
def test_everything_else_is_refused_with_the_difference(host: PluginHost, stop: Callable[..., Path], flag: str) -> None:
    path = stop()
    before = (path / "config.json").read_bytes()
    name = flag[2:].replace("-", "_")
    with pytest.raises(
        UsageError, match=rf"{name}: .* in the run, '?{REFUSED[flag]}'? now|unknown env 'other'"
    ) as refused:
        run_resume([str(path), flag, REFUSED[flag]], host)
    assert refused.value.exit_code == 2
    assert (path / "config.json").read_bytes() == before
    assert not (path / "resumes.jsonl").exists()


def test_all_that_is_refused_is_said_at_once(host: PluginHost, stop: Callable[..., Path]) -> None:
    with pytest.raises(UsageError) as refused:
        api.resume(stop(), seed=4, noise=0.5, total_steps=40, host=host)
    assert refused.value.message.splitlines() == [
        "noise: 0.01 in the run, 0.5 now; a resumed run cannot change this",
        "seed: 0 in the run, 4 now; a resumed run cannot change this",
    ]
    assert "puffer resume --help" in refused.value.remedy


def test_what_is_as_it_was_is_no_change(host: PluginHost, stop: Callable[..., Path]) -> None:
    path = stop()
    run_resume([str(path), "--seed", "0", "--noise", "0.01", "--run", str(path)], host)
    kept = json.loads((path / "resumes.jsonl").read_text())
    assert kept["changes"] == {}
    assert kept["reasons"] == []
    assert kept["bitwise"] is True


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--totl-steps", "3"], "unknown flag. Did you mean --total-steps"),
        (["--total-steps", "0"], "--total-steps: got 0, expected an integer >= 1"),
        (["--run", "elsewhere"], "goes on where it is"),
        (["--config", "none.toml"], "none.toml"),
        (["maze"], "unknown env 'maze'"),
    ],
)
def test_mistakes_are_told(host: PluginHost, stop: Callable[..., Path], argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_resume([str(stop()), *argv], host)


def test_the_run_comes_first(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="expected the directory of a run first"):
        run_resume(["--total-steps", "4"], host)
    assert run_resume([], host) == 2
    assert "usage: puffer resume RUN" in capsys.readouterr().err


def test_help_lists_what_may_change_and_nothing_else(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_resume(["--help"], host) == 0
    shown = capsys.readouterr().out
    assert shown == resume_help()
    for name in MAY_CHANGE:
        assert f"--{name.replace('_', '-')}" in shown
    assert not any(flag in shown for flag in ("--seed", "--vector.num-envs", "--run "))


@pytest.mark.parametrize("name", ["logger.memory", "logger.memory.key", "backend.name", "backend.device"])
def test_loggers_and_the_engine_may_change(name: str) -> None:
    assert may_change(name)


class TestHowEnvsAreStepped:
    """What `auto` chose stays, until somebody chooses."""

    CHOICE = {"num_envs": 2, "mode": "native", "workers": 0, "isolate": False, "batches": 1, "reason": "measured"}

    def test_what_auto_chose_is_kept(self, host: PluginHost, stop: Callable[..., Path]) -> None:
        path = stop()
        (path / "vector.json").write_text(json.dumps(self.CHOICE))
        api.resume(path, host=host)
        assert json.loads((path / "vector.json").read_text())["reason"] == "measured"
        assert Run(path).config["vector"]["mode"] == "auto"

    def test_a_choice_replaces_it(self, host: PluginHost, stop: Callable[..., Path]) -> None:
        path = stop()
        (path / "vector.json").write_text(json.dumps(self.CHOICE))
        api.resume(path, vector={"mode": "native"}, host=host)
        assert not (path / "vector.json").exists()
        assert Run(path).config["vector"]["mode"] == "native"

    def test_damage_is_told(self, host: PluginHost, stop: Callable[..., Path]) -> None:
        path = stop()
        (path / "vector.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"vector\.json: cannot be read"):
            api.resume(path, host=host)
