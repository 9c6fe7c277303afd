"""N1: numbers that are not finite. N2: no progress."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from puffer_core.checkpoints.reading import load
from puffer_core.config import resolve
from puffer_core.nonfinite import IN_A_ROW, NotFiniteError
from puffer_core.plugins import PluginHost, Provided
from puffer_core.run.directory import Run
from puffer_core.run.loop import execute
from puffer_core.run.watchdog import Watchdog
from puffer_core.specs import EnvSpec
from puffer_testing.driving import Drive, chaos_vector_env
from puffer_testing.loading import load_module

Injecting = Callable[..., AbstractContextManager[Any]]
SICK = "puffer_core_faults_sick"
ENV = Path(__file__).parents[3] / "puffer-ppo" / "tests" / "sick.py"
STEPS, ENVS, UPDATES = 4, 2, 8


@pytest.fixture(scope="module")
def host() -> PluginHost:
    """Every plugin, and a native env whose numbers go bad."""
    for name in ("puffer_ppo", "puffer_env_native", "puffer_backend_torch"):
        pytest.importorskip(name)
    load_module(ENV, SICK)
    host = PluginHost.discover(third_party=False, environ={})
    sick = EnvSpec(name="sick", summary="", target=f"{SICK}:batch", interface="vector")
    host._provided.append(Provided(sick, "puffer-sick", "1.0"))
    return host


def plan(host: PluginHost, run: Path, env: dict[str, int], **options: Any) -> Any:
    small = {"horizon": STEPS, "minibatches": 1, "epochs": 1, "policy": {"hidden_sizes": [4]}, "keep_last": 0}
    rest = {"total_steps": UPDATES * STEPS * ENVS, "vector": {"num_envs": ENVS}, "eval_episodes": 1}
    given = {**small, **rest, "checkpoint_every": 1, "run": str(run), "env": env, **options}
    return resolve(host, "ppo", "sick", overrides=given, environ={})


def none_is_flagged(run: Path) -> bool:
    return all(load(path).manifest.nonfinite == [] for path in Run(run).checkpoints)


KINDS = {"observation": 1, "reward, NaN": 2, "reward, infinite": 3}


@pytest.mark.parametrize("updates", [[3], pytest.param(range(1, UPDATES - 1), marks=pytest.mark.faults)])
def test_bad_numbers_of_a_native_env(
    host: PluginHost, tmp_path: Path, injecting: Injecting, updates: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = "found in the same update, which is undone and counted; no checkpoint has parameters that are not finite"
    with injecting("N1", "NaN or infinity in an observation or a reward of a native env", expected) as row:
        for name, where in KINDS.items():
            for update in updates:
                run, step = tmp_path / f"{where}-{update}", update * STEPS + 2
                began = monotonic()
                lines = execute(plan(host, run, {"where": where, "begin": step, "end": step + 1}), host).metrics
                assert [line["update/skipped"] for line in lines] == [float(i >= update) for i in range(UPDATES)], name
                assert [i for i, line in enumerate(lines) if math.isnan(line["loss/total"])] == [update]
                assert capsys.readouterr().err.count("was undone") == 1, "whoever trains is told, once for each"
                assert none_is_flagged(run)
                row.took(monotonic() - began)


ENDLESS: dict[str, tuple[dict[str, Any], str]] = {
    "observation": ({"env": {"where": 1, "begin": 2, "end": 10**6}}, "the observation of step"),
    "reward, NaN": ({"env": {"where": 2, "begin": 2, "end": 10**6}}, "the reward of step"),
    "reward, infinite": ({"env": {"where": 3, "begin": 2, "end": 10**6}}, "the reward of step"),
    "loss": ({"env": {}, "learning_rate": 1e38, "epochs": 4}, "the loss (loss/"),
    "gradient": ({"env": {}, "value_coefficient": 1e30}, "the gradient (loss/grad_norm inf)"),
    "parameters": ({"env": {}, "learning_rate": 1e39}, "a parameter after learning ("),
}


def test_three_in_a_row_end_the_run(host: PluginHost, tmp_path: Path, injecting: Injecting) -> None:
    expected = "the run ends with an error that names what was not finite first, and a dump"
    with injecting("N1", "numbers that stay NaN or infinite, from env, loss, gradient or parameters", expected) as row:
        for name, (options, first) in ENDLESS.items():
            run = tmp_path / name.replace(", ", "-")
            began = monotonic()
            with pytest.raises(NotFiniteError) as failed:
                execute(plan(host, run, options.pop("env"), **options), host)
            assert failed.value.first.startswith(first), name
            (dump,) = (run / "dumps").iterdir()
            assert {path.name for path in dump.iterdir()} == {
                "note.json",
                "parameters.safetensors",
                "rollout.safetensors",
            }
            assert json.loads((dump / "note.json").read_bytes())["first"] == failed.value.first
            assert Run(run).metrics[-1]["update/skipped"] == IN_A_ROW - 1
            assert none_is_flagged(run)
            row.took(monotonic() - began)


@pytest.mark.parametrize("fault", ["loop", pytest.param("c-loop", marks=pytest.mark.faults)])
def test_the_stacks_of_a_stall(tmp_path: Path, injecting: Injecting, fault: str) -> None:
    expected = "the stacks of every thread and worker are in a file of the run; one warning; training goes on"
    with injecting("N2", "a worker in an endless step; no update for 0.2 s", expected) as row:
        warned = threading.Event()
        vector = {"num_envs": 4, "mode": "process", "workers": 2, "isolate": True, "timeout": 4.0}
        options = {"fault": fault, "step": 2, "times": 1, "marker": str(tmp_path / "stall")}
        with closing(chaos_vector_env(vector, **options)) as env:
            drive = Drive(env, seed=1)
            with Watchdog(0.2, tmp_path, env.stacks, lambda _: warned.set()):
                began = monotonic()
                drive.steps(3)
            assert warned.is_set()
        text = next(tmp_path.glob("stacks-*.txt")).read_text()
        assert f"chaos_{'loops_in_c' if fault == 'c-loop' else 'loops'}" in text
        assert "test_the_stacks_of_a_stall" in text
        assert text.count("\nworker ") == 2 * text.count("no progress")
        row.took(monotonic() - began)
