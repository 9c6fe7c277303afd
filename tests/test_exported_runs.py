"""Runs as files: trained by one package, exported by another, and played to the same returns."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from puffer_core import load_policy, train
from puffer_core.cli.main import main
from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost
from puffer_testing import Crashed, FailingFiles

SHORT = ["--total-steps", "512", "--horizon", "32", "--eval-episodes", "2", "--vector.num-envs", "4", "--quiet"]
RUNS = {
    "module": ["cartpole", "--policy", "py:steered:Mine", "--policy.hidden", "16"],
    "memory": ["cartpole", "--env.velocities", "false", "--policy", "lstm", "--policy.hidden-size", "16"],
    "box": ["pendulum", "--policy.hidden-sizes", "16"],
    "masks": ["gridworld-masked", "--policy", "mlp", "--policy.hidden-sizes", "16"],
    "dict": ["py:steered:Steered", "--policy.normalize-observation", "true", "--vector.mode", "serial"],
}
SAME = ("mean_return", "std_return", "mean_length", "episodes", "deterministic", "seed")


@pytest.fixture(scope="module", autouse=True)
def _guests():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "guests"))
        yield


def told(capsys, *argv):
    """What a command that succeeds prints as JSON."""
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", RUNS)
def test_a_file_earns_what_its_run_earns(kind, tmp_path, capsys):
    run, file = str(tmp_path / "run"), str(tmp_path / "p.onnx")
    assert main(["train", "ppo", *RUNS[kind], *SHORT, "--run", run]) == 0
    done = told(capsys, "export", run, "--output", file)
    assert done["difference"] <= 1e-5
    assert ("action_mask" in done["inputs"]) == (kind == "masks")
    env = [word for word in RUNS[kind] if word.startswith("--env.")]
    options = [*env, *(["false"] if env else [])]
    own, played = (
        told(capsys, "eval", *named, "--episodes", "5", "--seed", "3")
        for named in ([run], [file, "--env", RUNS[kind][0], *options])
    )
    assert {name: played[name] for name in SAME} == pytest.approx({name: own[name] for name in SAME}, rel=1e-4)


def test_a_module_that_is_no_graph_is_named_with_its_line(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["train", "ppo", "cartpole", "--policy", "py:steered:Unclear", *SHORT, "--run", run]) == 0
    assert main(["export", run, "--output", str(tmp_path / "p.onnx")]) == 2
    told = capsys.readouterr().err
    assert "error: policy steered:Unclear: module Branching cannot be exported: its forward (Branching), at " in told
    assert "write that in other ops" in told
    assert not (tmp_path / "p.onnx").exists()


# --- commands


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of an lstm."""
    where = tmp_path_factory.mktemp("run") / "run"
    options = {"total_steps": 64, "horizon": 8, "eval_episodes": 2, "policy": {"name": "lstm", "hidden_size": 8}}
    return train("ppo", env="cartpole", run=str(where), vector={"num_envs": 4}, **options).directory


@pytest.fixture(scope="module")
def file(run):
    """The same, exported."""
    path = run / "exports" / "p.onnx"
    assert main(["export", str(run), "--output", str(path), "--json"]) == 0
    return path


def test_a_file_is_a_function_of_observations(run, file):
    own, of_file = load_policy(run), load_policy(file)
    seen = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    assert np.array_equal(of_file(seen), own(seen))


def test_a_file_that_nothing_here_plays_says_what_to_install(file):
    host = PluginHost.discover(blocked=["puffer-backend-onnx"])
    with pytest.raises(UsageError, match="nothing that plays files is installed") as caught:
        load_policy(file, host=host)
    assert caught.value.remedy == "pip install puffer-backend-onnx"


def test_a_file_samples_and_is_filmed(file, tmp_path, capsys):
    film = file.with_suffix(".mp4")
    played = told(capsys, "eval", str(file), "--env", "cartpole", "--episodes", "2", "--sample", "--video")
    assert played["video"] == str(film)
    assert not played["deterministic"]
    assert film.is_file()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["eval", "FILE", "--env", "cartpole", "--env.velocities", "false"], 4, "observation: shape (4,) against (2,)"),
        (["eval", "FILE", "--env", "gridworld-masked"], 4, "another env than gridworld-masked: "),
        (["eval", "FILE", "--env", "gridworld-masked"], 4, "action masks: none against some"),
        (["eval", "nowhere", "--env", "cartpole"], 4, "nowhere: not the directory of a run"),
        (["eval", "FILE"], 2, "--env ID"),
        (["eval", "FILE", "--env", "cartpole", "--checkpoint", "best"], 2, "a file of one checkpoint"),
        (["eval", "RUN", "--env", "cartpole"], 2, "has its own"),
        (["eval", "RUN", "--env.velocities=false"], 2, "has its own env"),
        (["eval", "none.onnx", "--env", "cartpole"], 4, "puffer export RUN"),
        (["export", "FILE"], 4, "a file, expected the directory of a run"),
        (["export", "RUN", "--checkpoint", "99"], 4, "no checkpoint of step 99"),
        (["export", "RUN", "--format", "numpy"], 2, "expected a backend that exports: onnx"),
        (["export", "RUN", "--format", "pt"], 2, "--format: got 'pt', expected a backend that exports: onnx"),
        (["export", "RUN", "--opset", "17"], 2, "--opset: got 17, expected an integer >= 18 and <= 23"),
        (["export", "RUN", "--opset", "24"], 2, "--opset: got 24, expected an integer >= 18 and <= 23"),
        (["export", "RUN", "--output", "RUN"], 2, "a directory, expected a file"),
        (["export", "RUN", "--output", "/proc/none/p.onnx"], 6, "cannot be written: No such file"),
        (["train", "ppo", "cartpole", "--backend", "onnx"], 2, "a backend that computes gradients"),
    ],
)
def test_what_cannot_be_says_why(run, file, capsys, argv, code, words):
    given = [{"FILE": str(file), "RUN": str(run)}.get(word, word) for word in argv]
    assert main(given) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["half a write", "rename"])
def test_a_full_disk_leaves_the_older_file(run, tmp_path, capsys, kind):
    old = tmp_path / "p.onnx"
    old.write_bytes(b"old")

    def full(operation):
        if operation.kind == kind:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with FailingFiles(tmp_path, full) as files:
        assert main(["export", str(run), "--output", str(old)]) == 6
    assert kind in {operation.kind for operation in files.operations}
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["p.onnx"]
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize("kind", ["half a write", "rename"])
def test_killed_while_it_writes_leaves_the_older_file(run, tmp_path, kind):
    old = tmp_path / "p.onnx"
    old.write_bytes(b"old")

    def killed(operation):
        if operation.kind == kind:
            raise Crashed

    with FailingFiles(tmp_path, killed), pytest.raises(Crashed):
        main(["export", str(run), "--output", str(old)])
    assert old.read_bytes() == b"old"


def test_export_needs_no_engine_that_trains(run, tmp_path):
    script = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "jax", "jaxlib", "numba", "puffer_ppo", "puffer_backend_torch"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Nothing())
from puffer_core import export
print(export(sys.argv[1], output=sys.argv[2]).summary()["difference"])
assert not {"torch", "jax", "puffer_ppo"} & set(sys.modules)
"""
    path = tmp_path / "p.onnx"
    command = [sys.executable, "-c", script, str(run), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1e-5
    assert path.is_file()
