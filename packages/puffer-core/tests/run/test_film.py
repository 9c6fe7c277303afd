"""`evaluate(run, video=...)` and `puffer eval RUN --video`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core import api
from puffer_core.cli.evaluate import run_eval
from puffer_core.config import resolve
from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost
from puffer_core.run.loop import execute

Image = pytest.importorskip("PIL.Image")
HERE = "puffer_core_run_film"
sys.modules[HERE] = sys.modules[__name__]


class Shade(gymnasium.Env[Any, Any]):
    """Episodes of 5 steps, each of another grey."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(2, np.float32), 1.0, False, self.steps == 5, {}

    def render(self) -> Any:
        assert self.render_mode == "rgb_array"
        return np.full((32, 48, 3), 40 * self.steps, np.uint8)


@pytest.fixture
def run(host: PluginHost, tmp_path: Path) -> Path:
    argv = ["--run", str(tmp_path / "run"), "--total-steps", "16", "--eval-episodes", "1", "--vector.num-envs", "2"]
    execute(resolve(host, "search", f"py:{HERE}:Shade", argv=argv, environ={}), host)
    return tmp_path / "run"


def test_a_film_changes_no_figure(run: Path, host: PluginHost, plans: ModuleType, tmp_path: Path) -> None:
    plain = api.evaluate(run, episodes=3, host=host)
    filmed = api.evaluate(run, episodes=3, host=host, video=tmp_path / "film.gif")
    assert plain.summary() == filmed.summary()
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.size) == (5, (48, 32))


def test_the_command_puts_it_into_the_runs_directory(
    run: Path, host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    assert run_eval([str(run), "--episodes", "2", "--video"], host) == 0
    [film] = (run / "videos").iterdir()
    assert film.name == f"{api.locate(run)[1].name}.mp4"
    assert capsys.readouterr().out.splitlines()[-1] == f"video        {film}"
    assert ffmpeg.count_frames_and_secs(str(film))[0] == 5


def test_json_names_the_film(run: Path, host: PluginHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_eval([str(run), "--episodes", "1", "--video", str(tmp_path / "a.gif"), "--json"], host)
    assert json.loads(capsys.readouterr().out)["video"] == str(tmp_path / "a.gif")


def test_a_name_that_is_no_film(run: Path, host: PluginHost) -> None:
    with pytest.raises(UsageError, match=r"expected a name that ends in \.mp4 or \.gif"):
        run_eval([str(run), "--video", "film.avi"], host)
