"""`puffer eval`: figures for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from puffer_core import api
from puffer_core.cli.evaluate import run_eval
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.evaluation import Evaluation
from puffer_core.plugins import PluginHost


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the API was asked for, answered with three episodes."""
    received: dict[str, Any] = {}

    def evaluate(run: str, **options: Any) -> Evaluation:
        received.update(options, run=run)
        returns, lengths = np.array([1.0, 2.0, 3.0]), np.array([10, 20, 30])
        return Evaluation(returns, lengths, seed=7, deterministic=options["deterministic"])

    monkeypatch.setattr(api, "evaluate", evaluate)
    return received


def test_json_is_one_object(host: PluginHost, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_eval(["here", "--json"], host) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["mean_return"] == 2.0
    assert printed["std_return"] == pytest.approx(0.8165, abs=1e-4)
    assert (printed["mean_length"], printed["episodes"]) == (20.0, 3)
    said = {"episodes": 100, "seed": None, "deterministic": True, "checkpoint": "last", "video": None, "host": host}
    assert asked == {"run": "here"} | said


def test_people_get_lines(host: PluginHost, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_eval(["here", "--episodes", "3", "--seed", "5", "--sample"], host) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mean return  2.00 +- 0.82",
        "mean length  20.0",
        "episodes     3, sampled, seed 7",
    ]
    assert (asked["episodes"], asked["seed"], asked["deterministic"]) == (3, 5, False)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: RUN"),
        (["here", "--episodes", "0"], "--episodes: got 0, expected an integer >= 1"),
        (["here", "--seed", "-1"], "--seed: got -1, expected an integer >= 0 and < 2[*][*]63"),
        (["here", "--episodes", "x"], "--episodes"),
        (["here", "--episode", "3"], "unknown option --episode"),
    ],
)
def test_mistakes(host: PluginHost, argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_eval(argv, host)


def test_a_directory_without_a_run_is_named(host: PluginHost, tmp_path: Any) -> None:
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        run_eval([str(tmp_path)], host)
