"""A run whose environments are stepped by workers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from puffer_core.config import resolve
from puffer_core.console.run import EndOnly
from puffer_core.plugins import PluginHost
from puffer_core.run.loop import execute
from puffer_testing.processes import is_alive, within

VECTOR = ["--vector.num-envs", "4", "--vector.mode", "process", "--vector.workers", "1"]
ARGUMENTS = ["--total-steps", "32", "--eval-episodes", "1", *VECTOR]


CORRIDOR = """
import gymnasium, numpy as np

class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), float(action), bool(self.np_random.random() < 0.5), False, {}
"""


class Watching(EndOnly):
    """Looks into the run's directory after each update, and kills the worker after the first."""

    def __init__(self, place: Path, stream: Any) -> None:
        super().__init__(stream)
        self.place = place
        self.seen: list[dict[str, Any]] = []

    def update(self, step: int, metrics: Any) -> None:
        super().update(step, metrics)
        self.seen.append(json.loads((self.place / "workers.json").read_text()))
        if len(self.seen) == 1:
            [pid] = self.seen[0]["workers"]
            assert is_alive(pid)
            os.kill(pid, signal.SIGKILL)
            within(10.0, lambda: not is_alive(pid))


def test_pids_stand_in_the_run_directory_while_it_lasts(
    host: PluginHost, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corridor_of_workers.py").write_text(CORRIDOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    place = tmp_path / "run"
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        display = Watching(place, nowhere)
        argv = ["--run", str(place), *ARGUMENTS]
        execute(
            resolve(host, "search", "py:corridor_of_workers:Corridor", argv=argv, environ={}), host, display=display
        )
    assert {seen["main"] for seen in display.seen} == {os.getpid()}
    assert len({pid for seen in display.seen for pid in seen["workers"]}) == 2, "the second took over from the first"
    assert not (place / "workers.json").exists()
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    assert sum(line["env/restarts"] for line in lines) == 1
    assert "was killed by SIGKILL" in capsys.readouterr().err
