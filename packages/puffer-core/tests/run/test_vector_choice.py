"""`--vector.mode auto` in a run: settled, said and kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from puffer_core.config import resolve
from puffer_core.console import EndOnly, Lines, LiveDisplay
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext, resized
from puffer_core.run.loop import execute
from puffer_core.vector.choosing import Choice


def run(host: PluginHost, place: Path, *flags: str, display: Any = None) -> dict[str, Any]:
    argv = ["--run", str(place), "--total-steps", "16", "--eval-episodes", "1", "--backend", "numpy", *flags]
    plan = resolve(host, "search", "CartPole-v1", argv=argv, environ={})
    execute(plan, host, display=display)
    return {file.stem: json.loads(file.read_text()) for file in place.glob("*.json")}


def test_the_run_keeps_what_was_asked_for_and_what_became_of_it(host: PluginHost, tmp_path: Path) -> None:
    kept = run(host, tmp_path / "run", "--vector.num-envs", "2")
    assert kept["config"]["vector"]["mode"] == "auto"
    assert kept["vector"]["mode"] == "serial"
    assert kept["vector"]["step_seconds"] is None or kept["vector"]["step_seconds"] > 0


def test_nothing_is_chosen_where_a_mode_is_named(host: PluginHost, tmp_path: Path) -> None:
    assert "vector" not in run(host, tmp_path / "run", "--vector.mode", "serial")


def test_a_serial_run_says_nothing_of_it(host: PluginHost, tmp_path: Path) -> None:
    shown = io.StringIO()
    run(host, tmp_path / "run", "--vector.num-envs", "2", display=Lines(shown))
    assert "vector" not in shown.getvalue()


def test_workers_are_said_in_one_line(host: PluginHost, tmp_path: Path) -> None:
    shown = io.StringIO()
    kept = run(host, tmp_path / "run", "--vector.num-envs", "2", "--vector.workers", "1", display=Lines(shown))
    assert shown.getvalue().splitlines()[0] == "vector: process, 1 worker beside the main process (as asked)"
    assert (kept["vector"]["mode"], kept["vector"]["workers"]) == ("process", 1)


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


def test_fewer_environments_get_fewer_workers() -> None:
    vector = resized(VectorConfig(num_envs=64, mode="process", workers=8, batches=2), 5)
    assert (vector.num_envs, vector.workers, vector.mode, vector.batches) == (5, 5, "process", 1)
