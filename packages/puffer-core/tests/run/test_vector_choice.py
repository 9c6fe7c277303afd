"""`--vector.mode auto` in a run: settled, said and kept."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core.config import resolve
from puffer_core.console.run import EndOnly, Lines, LiveDisplay
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext, make_env, resized
from puffer_core.run.directory import RunDirectory
from puffer_core.run.loop import execute, tell_choice
from puffer_core.vector.choosing import Choice, propose


class Corridor(gymnasium.Env[Any, Any]):
    """Two numbers to see, two things to do."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        over = bool(self.np_random.random() < 0.5)
        return np.zeros(2, np.float32), float(action), over, False, {}


HERE = "puffer_core_run_corridor"
sys.modules[HERE] = sys.modules[__name__]


def run(host: PluginHost, place: Path, *flags: str, display: Any = None) -> dict[str, Any]:
    argv = ["--run", str(place), "--total-steps", "16", "--eval-episodes", "1", "--vector.num-envs", "2", *flags]
    execute(resolve(host, "search", f"py:{HERE}:Corridor", argv=argv, environ={}), host, display=display)
    return {file.stem: json.loads(file.read_text()) for file in place.glob("*.json")}


def test_the_run_keeps_what_was_asked_for_and_what_became_of_it(host: PluginHost, tmp_path: Path) -> None:
    kept = run(host, tmp_path / "run")
    assert kept["config"]["vector"]["mode"] == "auto"
    assert kept["vector"]["mode"] == "serial"


def test_nothing_is_chosen_where_a_mode_is_named(host: PluginHost, tmp_path: Path) -> None:
    assert "vector" not in run(host, tmp_path / "run", "--vector.mode", "serial")


def test_a_serial_run_says_nothing_of_it(host: PluginHost, tmp_path: Path) -> None:
    shown = io.StringIO()
    run(host, tmp_path / "run", display=Lines(shown))
    assert "vector" not in shown.getvalue()


def test_workers_are_said_in_one_line_and_kept(tmp_path: Path) -> None:
    shown = io.StringIO()
    with RunDirectory(tmp_path / "run", "search", "corridor") as directory:
        tell_choice(directory, Lines(shown), propose(140e-6, 8, 32, cores=2))
        kept = json.loads((directory.path / "vector.json").read_text())
    assert shown.getvalue() == "vector: process, 1 worker beside the main process (a step costs 140 us)\n"
    assert (kept["mode"], kept["workers"]) == ("process", 1)


def test_a_run_that_never_began_leaves_no_choice_behind(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run", "search", "corridor") as directory:
        tell_choice(directory, EndOnly(io.StringIO()), propose(140e-6, 8, 32, cores=2))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("display", "lines"), [(EndOnly, ""), (Lines, "hello\n"), (LiveDisplay, "hello\n")])
def test_notes_are_for_those_who_read(display: Any, lines: str) -> None:
    shown = io.StringIO()
    display(shown).note("hello")
    assert shown.getvalue() == lines


def test_evaluations_are_not_looked_at(host: PluginHost) -> None:
    told: list[Choice] = []
    context = RunContext(resolve(host, "search", "CartPole-v1", environ={}), host, told.append)
    context.make_env(3).close()
    assert told == []


@pytest.mark.parametrize("num_envs", [1, 2, 5])
@pytest.mark.parametrize("isolate", [False, True])
def test_an_evaluation_of_few_episodes_has_no_more_workers_than_it_can(
    host: PluginHost, num_envs: int, isolate: bool
) -> None:
    vector = resized(VectorConfig(num_envs=64, mode="process", workers=8, isolate=isolate, batches=2), num_envs)
    provided = host.find_env("CartPole-v1")
    make_env(host, provided, {}, vector).close()
    assert (vector.num_envs, vector.batches) == (num_envs, 1)
