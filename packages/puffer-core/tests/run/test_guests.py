"""Environments with bad manners: they do no harm to a run, or end it with one message."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from puffer_core.checkpoints.reading import is_sound
from puffer_core.cli.main import main

HERE = Path(__file__).parent
TRAIN = ["train", "py:guest_env:Learner"]
OPTIONS = [
    *("--policy", "py:guest_env:Policy", "--backend", "numpy", "--vector.num-envs", "2", "--vector.mode", "serial"),
    *("--total-steps", "64", "--eval-episodes", "4", "--run", "runs/mine"),
]


def puffer(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """`puffer` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "puffer_core", *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(HERE), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_what_an_env_prints_and_where_it_goes_do_not_matter(tmp_path: Path) -> None:
    trained = puffer(*TRAIN, "py:guest_env:Talker", *OPTIONS, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "talker: " not in trained.stdout
    assert is_sound(tmp_path / "runs/mine/checkpoints/step-000000000064")
    assert len((tmp_path / "runs/mine/metrics.jsonl").read_text().splitlines()) == 8
    found = puffer("eval", "runs/mine", "--episodes", "3", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["mean_length"] == 5
    for phase in ("init", "reset", "step", "close"):
        assert f"talker: {phase}\n" in found.stderr
        assert f"talker, past Python: {phase}\n" in found.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_its_signal_handlers_do_not_keep_a_run_from_being_stopped_and_saved(
    signum: int, code: int, tmp_path: Path
) -> None:
    done = puffer(*TRAIN, "py:guest_env:Deaf", *OPTIONS, cwd=tmp_path, STOP_BY=str(int(signum)))
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f"stopped by {signal.Signals(signum).name} at step 16; saved in runs/mine/")
    assert is_sound(tmp_path / "runs/mine/checkpoints/step-000000000016")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HERE)
    return Told(capsys)


class Told:
    """What a command says, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str) -> tuple[int, str]:
        try:
            code = main([*TRAIN, argv[0], *OPTIONS, *argv[1:]])
        finally:
            sys.modules.pop("guest_env", None)
        said = self._capsys.readouterr().err
        assert said.count("error: ") == (code != 0)
        assert "Traceback" not in said
        assert not Path("runs/mine").exists() or code == 0 or Path("runs/mine/metrics.jsonl").exists()
        return code, said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("Failing",), "failing cannot be made: RuntimeError: no init today"),
        (("Failing", "--env.speed", "2"), "failing cannot be made with speed=2: RuntimeError"),
        (("Failing", "--env.fails_in", "reset"), "environment 0 of 2 failed in reset: RuntimeError: no reset today"),
        (("Failing", "--env.fails_in", "step"), "environment 0 of 2 failed in step, seed "),
        (("Failing", "--env.fails_in", "close"), "environment 0 of 2 failed in close"),
        (("Missing",), "Install it: pip install no-such-simulator"),
        (("Liar", "--env.what", "shape"), "got float32 array of shape (3,), expected float32 box of shape (2,)"),
        (("Liar", "--env.what", "dtype"), "got <U1 array of shape (2,), expected float32 box"),
        (("Liar", "--env.what", "none"), "got None, expected float32 box of shape (2,)"),
        (("Liar", "--env.what", "hole"), "the observation holds NaN: [nan, nan], expected numbers"),
        (("Lost",), "the reward is NaN, expected a number"),
        (("Alone",), "the action space is Tuple(), expected at least one part: it has no agents"),
        (("Mute",), "the observation space is Dict(), expected at least one part"),
        (("always_two",), "gave a SyncVectorEnv, expected one environment"),
    ],
)
def test_an_env_that_fails_or_breaks_its_spaces_is_told_in_one_message(
    told: Told, argv: tuple[str, ...], words: str
) -> None:
    code, said = told(f"py:guest_env:{argv[0]}", *argv[1:])
    assert code == 5, said
    assert words in said


def test_a_batch_of_gymnasiums_is_found_by_its_first_parameter(told: Told) -> None:
    code, said = told("py:guest_env:several", "--vector.mode", "native")
    assert code == 0, said


@pytest.mark.parametrize(
    ("argv", "remedy"),
    [
        (("py:guest_env:Failing", "--env.sped", "2"), "Did you mean speed?"),
        (("CartPole-v1", "--env.max-episode-step", "2"), "Did you mean"),
        (("CartPole-v1", "--env.without", "pole"), "which has no keys to leave out"),
        (("CartPole-v1", "--env.render_mode", "rgb"), "Did you mean rgb_array?"),
    ],
)
def test_an_option_that_the_env_does_not_have_is_a_mistake(told: Told, argv: tuple[str, ...], remedy: str) -> None:
    code, said = told(*argv)
    assert code == 2, said
    assert remedy in said


@pytest.mark.parametrize(
    ("id", "module", "command"),
    [
        ("ALE/Pong-v5", "ale_py", "pip install ale-py. Then ask for gymnasium:ale_py:ALE/Pong-v5."),
        ("miniworld:MiniWorld-Hallway-v0", "miniworld", "pip install miniworld"),
        ("HalfCheetah-v5", "mujoco", 'pip install "gymnasium[mujoco]"'),
        ("gymnasium:no_such_envs:Mine-v0", "no_such_envs", "pip install no-such-envs"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_installs_it(
    told: Told, id: str, module: str, command: str
) -> None:
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    code, said = told(id)
    assert code == 5, said
    assert command in said
