"""C9: a run that was saved, stopped or killed, and resumed, is the run that was not, bit for bit."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from puffer_core import api
from puffer_core.checkpoints.reading import Checkpoint, completed, load
from puffer_core.config import resolve
from puffer_core.errors import CheckpointError
from puffer_core.plugins import PluginHost
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.record import RunRecord

pytest.importorskip("puffer_ppo")
pytest.importorskip("puffer_env_native")
pytest.importorskip("puffer_backend_torch")

Injecting = Callable[..., AbstractContextManager[Any]]
HERE = str(Path(__file__).parent)
HALF, END = 128, 256
OPTIONS: dict[str, Any] = {
    "total_steps": END,
    "horizon": 16,
    "epochs": 2,
    "minibatches": 2,
    "normalize_reward": True,
    "policy": {"hidden_sizes": [16], "normalize_observation": True},
    "vector": {"num_envs": 4},
}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    """A host that knows the plugins of this repository; the environments can be imported."""
    monkeypatch.syspath_prepend(HERE)
    return PluginHost.discover(third_party=False, environ={})


@contextmanager
def training(host: PluginHost, env: str, vector: dict[str, Any], **options: Any) -> Iterator[tuple[RunContext, Any]]:
    """A run between two updates, and its trainer."""
    given = {**OPTIONS, **options, "vector": {**OPTIONS["vector"], **vector}}
    context = RunContext(resolve(host, "ppo", env, overrides=given, environ={}), host)
    try:
        yield context, context.trainer()
    finally:
        context.close()


def advanced(context: RunContext, trainer: Any, until: int) -> list[dict[str, float]]:
    """What every update said, but for times."""
    said = []
    while trainer.progress < until:
        metrics = {**trainer.update(), **context.collects.metrics()}  # type: ignore[union-attr]
        said.append({name: value for name, value in metrics.items() if not name.startswith("time/")})
    return said


def saved(context: RunContext, trainer: Any, where: Path) -> Checkpoint:
    with RunDirectory(where, "ppo", "env") as directory:
        return load(persistence.save(context, trainer, RunRecord(), directory))


def files(checkpoint: Checkpoint) -> dict[str, str]:
    """Checksums of everything that a resumed run goes on from, but for time spent."""
    return {name: file.sha256 for name, file in checkpoint.manifest.files.items() if not name.startswith("run.")}


def same_metrics(one: list[dict[str, float]], other: list[dict[str, float]]) -> bool:
    """NaN is NaN: no episode ended."""
    return repr(one) == repr(other)


Settings = dict[str, Any]
full = pytest.mark.faults
WAYS = [
    pytest.param("py:kept_envs:walk", {"mode": "serial"}, {}, id="serial"),
    pytest.param("py:kept_envs:walk", {"mode": "process", "workers": 1}, {}, id="process", marks=full),
    pytest.param("py:kept_envs:walk", {"mode": "process", "workers": 2, "batches": 2}, {}, id="process, batches"),
    pytest.param("py:kept_envs:masked", {"mode": "serial"}, {}, id="masks"),
    pytest.param("py:kept_envs:nested", {"mode": "process", "workers": 2, "isolate": True}, {}, id="nested, isolate"),
    pytest.param("cartpole", {"mode": "native"}, {}, id="native"),
    pytest.param("cartpole", {"mode": "process", "workers": 1}, {}, id="native in workers"),
    pytest.param("cartpole", {"mode": "native", "batches": 2}, {}, id="native, batches", marks=full),
    pytest.param("pendulum", {"mode": "native"}, {"normalize_reward": False}, id="continuous"),
    pytest.param("gridworld-masked", {"mode": "native"}, {"policy": {"hidden_sizes": [16]}}, id="grid", marks=full),
]


@pytest.mark.parametrize(("env", "vector", "options"), WAYS)
def test_half_and_half_is_the_whole(
    host: PluginHost, tmp_path: Path, env: str, vector: Settings, options: Settings
) -> None:
    with training(host, env, vector, **options) as (context, trainer):
        advanced(context, trainer, HALF)
        half = saved(context, trainer, tmp_path / "half")
        expected = advanced(context, trainer, END)
        whole = saved(context, trainer, tmp_path / "whole")
    assert half.manifest.resume.bitwise, half.manifest.resume.reasons
    with training(host, env, vector, **options) as (context, trainer):
        persistence.restore(context, trainer, RunRecord(), half)
        said = advanced(context, trainer, END)
        again = saved(context, trainer, tmp_path / "again")
    assert same_metrics(said, expected)
    assert files(again) == files(whole)


@pytest.mark.parametrize("env", [pytest.param("py:kept_envs:walk", marks=full), "cartpole"])
def test_modes_and_workers_may_change_on_the_way(host: PluginHost, tmp_path: Path, env: str) -> None:
    plain = {"mode": "native" if env == "cartpole" else "serial"}
    with training(host, env, plain) as (context, trainer):
        advanced(context, trainer, END)
        params = context.backend.to_numpy(trainer.agent.params)
    at = None
    ways = [plain, {"mode": "process", "workers": 1}, {"mode": "process", "workers": 3, "isolate": True}, plain]
    for step, vector in zip((64, 128, 192, END), ways, strict=True):
        with training(host, env, vector) as (context, trainer):
            if at is not None:
                persistence.restore(context, trainer, RunRecord(), at)
            advanced(context, trainer, step)
            at = saved(context, trainer, tmp_path / str(step))
            found = context.backend.to_numpy(trainer.agent.params)
    assert params.keys() == found.keys()
    assert all(params[name].tobytes() == found[name].tobytes() for name in params)


def test_envs_that_do_not_take_their_state_start_new_episodes_if_that_is_allowed(
    host: PluginHost, tmp_path: Path
) -> None:
    with training(host, "py:kept_envs:stubborn", {"mode": "serial"}) as (context, trainer):
        advanced(context, trainer, HALF)
        half = saved(context, trainer, tmp_path / "half")
    refusal = r"collector: .*environment 0: set_state of Walk refused it"
    with (
        training(host, "py:kept_envs:stubborn", {"mode": "serial"}) as (context, trainer),
        pytest.raises(CheckpointError, match=refusal),
    ):
        persistence.restore(context, trainer, RunRecord(), half)
    said: list[str] = []
    with training(host, "py:kept_envs:stubborn", {"mode": "serial"}) as (context, trainer):
        persistence.restore(context, trainer, RunRecord(), half, instead=said.append)
        assert trainer.progress == HALF
        assert len(advanced(context, trainer, END)) == 2
    assert len(said) == 1
    assert "the walk has moved on; new episodes start" in said[0]


def test_the_manifest_says_why_a_resumed_run_would_differ(host: PluginHost, tmp_path: Path) -> None:
    with training(host, "CartPole-v1", {"mode": "serial"}) as (context, trainer):
        advanced(context, trainer, 64)
        found = saved(context, trainer, tmp_path / "r").manifest.resume
    assert not found.bitwise
    assert found.reasons == [
        "the env CartPole-v1 cannot give its state (CartPoleEnv has no get_state and set_state): new episodes start"
    ]


# --- killed, again and again ---

KILLED = ("C9", "SIGKILL at a random moment of a run, `puffer resume` each time",
          "it ends as the run that was never stopped, bit for bit")  # fmt: skip
AN_UPDATE = 64
"""Steps: 4 environments, 16 each."""


def often(updates: int) -> dict[str, Any]:
    """Options of a run that is saved at every other update, and evaluated three times."""
    steps = AN_UPDATE * updates
    rare = {"total_steps": steps, "eval_every": steps // 3, "eval_episodes": 2, "checkpoint_every": 2 * AN_UPDATE}
    return {**OPTIONS, **rare}


def commands(env: str, options: dict[str, Any], run: Path) -> tuple[list[str], list[str]]:
    """`puffer train` and `puffer resume` of the run."""
    flags = {
        f"--{group}{name.replace('_', '-')}": value
        for group, own in (("", options), ("policy.", options["policy"]), ("vector.", options["vector"]))
        for name, value in own.items()
        if not isinstance(value, dict)
    }
    words = [word for name, value in flags.items() for word in (name, flag_value(value))]
    puffer = [sys.executable, "-m", "puffer_core"]
    return [*puffer, "train", "ppo", env, "--run", str(run), *words], [*puffer, "resume", str(run), "--quiet"]


def flag_value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def lines_of(run: Path) -> int:
    file = run / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


@contextmanager
def going_on(command: list[str], run: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The program, from its first new line in the log on, and how long that took; killed at the end."""
    before, begun = lines_of(run), time.monotonic()
    environ = os.environ | {"PYTHONPATH": HERE, "OMP_NUM_THREADS": "1"}
    with (run.parent / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        wait_for(process, run, lambda: lines_of(run) > before)
        yield process, time.monotonic() - begun
    finally:
        process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], run: Path, is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not is_so():
        assert process.poll() is None, (run.parent / "stderr").read_text()
        assert time.monotonic() < until, (run.parent / "stderr").read_text()
        time.sleep(0.001)


def kill_again_and_again(env: str, vector: Settings, times: int, tmp_path: Path, host: PluginHost, row: Any) -> None:
    whole, run, draw = tmp_path / "whole", tmp_path / "killed", random.Random(times)
    options = {**often(6 * times), "vector": {"num_envs": 4, **vector}}
    api.train("ppo", env=env, run=whole, host=host, **options)
    command, resume = commands(env, options, run)
    for kill in range(times):
        with going_on(command, run) as (process, seconds):
            until = lines_of(run) + draw.randint(0, 4)
            wait_for(process, run, lambda until=until: lines_of(run) >= until and completed(run / "checkpoints"))
            time.sleep(draw.random() * 0.03)  # anywhere within an update or a save
        if kill:
            row.took(seconds)
        command = resume
    with going_on(resume, run) as (process, seconds):
        assert process.wait(300) == 0, (run.parent / "stderr").read_text()
    assert kept_metrics(run) == kept_metrics(whole)
    last = [load(completed(path / "checkpoints")[-1]) for path in (whole, run)]
    assert files(last[0]) == files(last[1])
    row.took(seconds)


def kept_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of the log, but for what may differ."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: x for key, x in line.items() if not key.startswith(("time", "system/"))} for line in lines]


def test_a_run_that_is_killed_twice_is_the_run_that_was_not(
    host: PluginHost, tmp_path: Path, injecting: Injecting
) -> None:
    with injecting(*KILLED) as row:
        kill_again_and_again("py:kept_envs:walk", {"mode": "process", "workers": 1}, 2, tmp_path, host, row)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("env", "vector"),
    [
        ("py:kept_envs:walk", {"mode": "serial"}),
        ("py:kept_envs:nested", {"mode": "process", "workers": 1}),
        ("cartpole", {"mode": "process", "workers": 2, "batches": 2}),
        ("cartpole", {"mode": "native"}),
    ],
)
def test_a_run_that_is_killed_ten_times_is_the_run_that_was_not(
    host: PluginHost, tmp_path: Path, injecting: Injecting, env: str, vector: Settings
) -> None:
    with injecting(*KILLED) as row:
        kill_again_and_again(env, vector, 10, tmp_path, host, row)
