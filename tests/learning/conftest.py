"""What learning tests share: training as users run it, judged by evaluation, and the table of figures.

With `LEARNING_TABLE` set, the figures of this run replace those of the same tests in that JSON file, and each run is as
long as its test says. Without it a run ends as soon as it evaluates to what it must reach, and a bit more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.evaluation import shares
from puffer_core.plan import VectorConfig
from puffer_core.vector import make_vector_env
from puffer_testing.components import host
from puffer_testing.playing import Player

Learn = Callable[..., float]
ROOT = Path(__file__).parents[2]
STOPPING = ("--eval-every", "10000", "--eval-episodes", "50")


@pytest.fixture(scope="session")
def table() -> Iterator[list[dict[str, Any]]]:
    """Rows that this run adds to the table."""
    rows: list[dict[str, Any]] = []
    yield rows
    where = os.environ.get("LEARNING_TABLE")
    if where and rows:
        old = json.loads(Path(where).read_text(encoding="utf-8")) if Path(where).is_file() else []
        merged = {_key(row): row for row in [*old, *rows]}
        text = json.dumps([merged[key] for key in sorted(merged)], indent=1)
        Path(where).write_text(text + "\n", encoding="utf-8")


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["env"], row["command"], row["seed"]


@pytest.fixture
def learn(tmp_path: Path, table: list[dict[str, Any]]) -> Learn:
    """Train in a process of its own, then evaluate in another; gives the mean return of an episode.

    `enough` is a mean return of 50 episodes at which training may end early, where no table is made.
    """

    def puffer(*arguments: str) -> str:
        command = [sys.executable, "-m", "puffer_core", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def mean_return(
        env: str,
        seed: int,
        *options: str,
        episodes: int = 100,
        sample: bool = False,
        enough: float | None = None,
        **also: Any,
    ) -> float:
        short = [] if enough is None or "LEARNING_TABLE" in os.environ else [*STOPPING, "--target-return", str(enough)]
        puffer("train", "ppo", env, "--seed", str(seed), "--run", "run", "--quiet", *options, *short)
        judged = ("eval", "run", "--episodes", str(episodes), "--json", *(["--sample"] if sample else []))
        evaluation = json.loads(puffer(*judged))
        steps = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"]
        figures = {name: round(evaluation[name], 2) for name in ("mean_return", "std_return")}
        command = " ".join(["puffer train ppo", env, *options]).replace(f"{ROOT}{os.sep}", "")
        table.append({"env": env, "command": command, "seed": seed, "steps": steps, **figures, **also})
        return float(evaluation["mean_return"])

    return mean_return


@pytest.fixture
def random_return() -> Callable[..., float]:
    """`_random_return`, for tests."""
    return _random_return


def _random_return(env_id: str, *, episodes: int = 100, **options: Any) -> float:
    """Mean return of an episode, a row, under uniformly random valid actions."""
    provided = host().find_env(env_id)
    vector = VectorConfig(num_envs=8)
    with closing(make_vector_env(provided, host().load(provided), options, vector)) as env:
        player = Player(env)
        player.reset(seed=0)
        left = shares(episodes, env.spec.rows)
        total, finished = np.zeros(env.spec.rows), []
        while left.any():
            step = player.run(1)
            total += step["reward"][0]
            for row in np.flatnonzero(step["terminated"][0] | step["truncated"][0]):
                finished += [total[row]] if left[row] else []
                left[row] = max(0, left[row] - 1)
                total[row] = 0.0
    return float(np.mean(finished))
