"""PPO with modules that a user wrote: they learn, resume bit for bit, act, and are refused where they do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import puffer_core
from puffer_core.cli.main import main
from puffer_core.errors import CheckpointError

HERE = Path(__file__).parent
SMALL: dict[str, Any] = {
    "env": "cartpole", "horizon": 16, "epochs": 1, "vector": {"num_envs": 4, "mode": "native"}, "eval_episodes": 2,
    "quiet": True, "learning_rate_schedule": "constant", "backend": {"threads": 1},
}  # fmt: skip


@pytest.fixture(autouse=True)
def nets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.chdir(tmp_path)


def state(run: puffer_core.Run, component: str) -> dict[str, np.ndarray]:
    last = sorted(Path(run.directory).glob("checkpoints/step-*"))[-1]
    found: dict[str, np.ndarray] = load_file(last / f"{component}.safetensors")
    return found


@pytest.mark.parametrize("policy", ["Mine", "Remembers"])
def test_a_resumed_run_is_the_same_bit_for_bit(policy: str) -> None:
    chosen = {"name": f"py:user_nets:{policy}", "hidden": 8}
    whole = puffer_core.train("ppo", policy=chosen, run="whole", total_steps=256, **SMALL)
    puffer_core.train("ppo", policy=chosen, run="half", total_steps=128, **SMALL)
    half = puffer_core.resume("half", total_steps=256)
    for component in ("policy", "trainer", "collector"):
        expected, found = state(whole, component), state(half, component)
        assert expected.keys() == found.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert (
        whole.evaluation.mean_return
        == half.evaluation.mean_return
        == puffer_core.evaluate(half, episodes=2).mean_return
    )


def test_what_was_trained_acts() -> None:
    run = puffer_core.train("ppo", policy="py:user_nets:Remembers", run="run", total_steps=64, **SMALL)
    policy = puffer_core.load_policy(run)
    assert policy(np.zeros((3, 4), np.float32)).shape == (3,)
    entry = json.loads(next(Path("run").glob("checkpoints/step-*/manifest.json")).read_text())["policy"]
    assert (entry["target"], entry["config"]) == ("user_nets:Remembers", {"hidden": 16})
    assert entry["carry"] == {"0": {"shape": [16], "dtype": "float32"}}


def test_statistics_move_once_an_update() -> None:
    run = puffer_core.train("ppo", policy="py:user_nets:Mine", run="run", total_steps=128, **SMALL)
    params = state(run, "policy")
    assert params["stats.norm.num_batches_tracked"] == 2
    assert (params["stats.norm.running_mean"] != 0).all()


def test_a_run_whose_file_is_gone_says_where_it_has_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (module := Path("gone.py")).write_text("from user_nets import *\n")
    monkeypatch.syspath_prepend(Path.cwd())
    run = puffer_core.train("ppo", policy="py:gone:Mine", run="run", total_steps=64, **SMALL)
    module.unlink()
    monkeypatch.delitem(sys.modules, "gone")
    with pytest.raises(CheckpointError, match="No module named 'gone'") as caught:
        puffer_core.load_policy(run)
    assert "PYTHONPATH" in caught.value.remedy
    assert main(["resume", "run", "--total-steps", "128"]) == 4
    assert "PYTHONPATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--policy", "py:user_nets:Wrong"], "gave logits torch.float32 [3, 4], expected floats [rows, 2]"),
        (["--policy", "py:user_nets:Mine", "--backend", "jax"], "expected a backend that policy mine runs on: torch"),
        (["--policy", "py:user_nets:Mine", "--policy.hiden", "3"], "Did you mean --policy.hidden?"),
        (["--policy", "py:user_nets:Mine", "--policy.hidden", "few"], "policy.hidden"),
    ],
)
def test_what_does_not_fit_ends_the_command(capsys: pytest.CaptureFixture[str], flags: list[str], words: str) -> None:
    assert main(["train", "ppo", "cartpole", "--run", "run", "--quiet", *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.learning
@pytest.mark.parametrize("policy", [pytest.param("Mine", marks=pytest.mark.smoke), "Remembers"])
def test_a_module_learns_to_balance(policy: str) -> None:
    command = [sys.executable, "-m", "puffer_core"]
    enough = ["--total-steps", "100000", "--eval-every", "20000", "--eval-episodes", "20", "--target-return", "450"]
    options = ["--vector.num-envs", "8", "--normalize-reward", "--backend.threads", "1", "--run", "run", "--quiet"]
    named = ["--policy", f"py:user_nets:{policy}", "--policy.hidden", "64"]
    subprocess.run([*command, "train", "ppo", "cartpole", *named, *options, *enough], check=True, capture_output=True)
    done = subprocess.run([*command, "eval", "run", "--json"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["mean_return"] >= 400
