"""`puffer train`: what is asked for wrongly is told how to ask, the rest goes to the run loop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from puffer_core.cli.main import main
from puffer_core.cli.train import run_train, usage
from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost
from puffer_core.plugins.loading import HookManager


def test_nothing_asked_for_lists_the_trainers(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_train([], host) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "  learner    the learner\n" in captured.err
    assert "puffer train counter field" in captured.err
    assert run_train(["--help"], host) == 0
    assert capsys.readouterr().out == captured.err


def test_without_a_trainer_it_says_how_to_get_one() -> None:
    assert "pip install puffer-ppo" in usage(PluginHost(HookManager(), (), []))


def test_the_trainer_comes_first(host: PluginHost) -> None:
    with pytest.raises(UsageError, match="got '--seed', expected the name of a trainer first"):
        run_train(["--seed", "3"], host)


def test_help_of_a_trainer(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_train(["learner", "maze", "-h"], host) == 0
    assert "--learning-rate" in capsys.readouterr().out


def test_a_missing_source_is_told_which_there_are(host: PluginHost) -> None:
    with pytest.raises(UsageError, match="expected the name of one, such as field, maze") as caught:
        run_train(["learner", "--seed", "3"], host)
    assert caught.value.exit_code == 2
    assert "puffer train learner field" in caught.value.remedy


@pytest.mark.parametrize(
    "argv",
    [["lerner"], ["learner", "maze", "--seed", "-1"], ["learner", "maze", "--policy", "no"]],
)
def test_mistakes_are_found_before_anything_is_made(
    host: PluginHost, argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        run_train(argv, host)
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_engine() -> None:
    code = (
        "import sys; from puffer_core.cli.main import main; code = main(['train', 'ppo', 'cartpole', '--help']);"
        "heavy = [name for name in ('torch', 'jax', 'numba', 'rich') if name in sys.modules];"
        "sys.exit(code or heavy or 0)"
    )
    pytest.importorskip("puffer_ppo")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_is_trained_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for needed in ("puffer_ppo", "puffer_backend_torch", "puffer_env_native"):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PUFFER_VECTOR__NUM_ENVS", "2")
    small = ["--total-steps", "64", "--horizon", "16", "--eval-episodes", "2"]
    argv = ["ppo", "cartpole", "--run", "here", "--quiet", *small]
    assert main(["train", *argv]) == 0
    assert "puffer eval here" in capsys.readouterr().out
    config = json.loads((tmp_path / "here" / "config.json").read_text())
    assert (config["vector"]["num_envs"], config["horizon"]) == (2, 16)
    assert main(["eval", "here", "--episodes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 3
