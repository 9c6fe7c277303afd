"""W1, W2: workers that are killed, stopped or stuck: found, restarted and counted, and nothing is mixed up."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.vector import environment_seed
from puffer_core.vector.seeding import restart_seed
from puffer_testing.driving import Drive, chaos_vector_env
from puffer_testing.playing import Player, difference
from puffer_testing.processes import deadline, descendants, is_alive, parent_of, workers

PROCESS = {"mode": "process", "num_envs": 8, "workers": 2, "isolate": True}


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=pytest.mark.faults)])
def test_killed_at_random_moments(times: int, injecting: Callable[..., Any]) -> None:
    random = np.random.default_rng(times)
    expected = "restarted within 1 s; the interrupted transition inactive, other rows lose nothing; counted"
    what = "SIGKILL a worker at a random moment of a run"
    with (
        deadline(60 + times),
        injecting("W1", what, expected) as row,
        injecting("W1", f"{what}: until it is noticed", "within 0.1 s") as noticed,
        redirect_stderr(Stamps()) as stamps,
    ):
        env = chaos_vector_env(PROCESS, cost_us=200.0)
        drive = Drive(env)
        share = env.spec.rows // len(workers(env))
        for _ in range(times):
            killed: list[float] = []
            victim = int(random.choice(workers(env)))
            timer = threading.Timer(random.uniform(0, 0.02), kill, (victim, killed))
            timer.start()
            while not killed:
                drive.steps()
                if drive.lost_rows:
                    break
            timer.join()
            while not drive.lost_rows:
                drive.steps()
            assert len(drive.lost_rows) == share, f"lost {drive.lost_rows}, expected the {share} rows of one worker"
            drive.steps()  # everybody is back
            assert drive.lost_rows == []
            row.took(time.monotonic() - killed[0])
            noticed.took(stamps.last() - killed[0])
            assert len([pid for pid in workers(env) if is_alive(pid)]) == 2
        counted = env.metrics()
        env.close()
        assert counted == {"env/restarts": times, "env/lost_transitions": times * share}


class Stamps(io.StringIO):
    """A stderr that notes when something was written to it, which a death always is."""

    def write(self, text: str) -> int:
        self.times = [*getattr(self, "times", []), time.monotonic()]
        return super().write(text)

    def last(self) -> float:
        """When the first word of the last message was written."""
        first, self.times = self.times[0], []
        return first


def kill(pid: int, killed: list[float]) -> None:
    os.kill(pid, signal.SIGKILL)
    killed.append(time.monotonic())


def test_the_rows_of_other_workers_play_what_they_would_have_played() -> None:
    with deadline(60):
        undisturbed = Player(chaos_vector_env({"mode": "serial", "num_envs": 8}))
        disturbed = Player(chaos_vector_env(PROCESS))
        undisturbed.reset(3), disturbed.reset(3)
        expected = undisturbed.run(60)
        played = [disturbed.run(20)]
        for victim in workers(disturbed.env)[:1] * 2:
            if is_alive(victim):
                os.kill(victim, signal.SIGKILL)
            played.append(disturbed.run(20))
        disturbed.env.close()
        whole = {name: np.concatenate([part[name] for part in played]) for name in expected}
        others = {name: array[:, 4:] for name, array in whole.items()}
        assert difference(others, {name: array[:, 4:] for name, array in expected.items()}) == ""
        assert difference(whole, expected) != ""


def test_a_replacement_that_dies_too_leaves_other_slots_as_they_are() -> None:
    with deadline(60):
        second_replacement = environment_seed(restart_seed(0, 2), 2)
        env = chaos_vector_env(PROCESS, fault="os-exit", phase="reset", seed=second_replacement)
        drive = Drive(env, slots=20)
        drive.steps(3)
        for restarts in (1, 3):
            before = [array[: drive.taken].copy() for array in (drive.buffers.active, drive.buffers.reward)]
            os.kill(workers(env)[0], signal.SIGKILL)
            lost = drive.lost
            while drive.lost == lost:
                drive.steps()
            assert drive.lost_rows == [0, 1, 2, 3]
            for was, array in zip(before, (drive.buffers.active, drive.buffers.reward), strict=True):
                assert np.array_equal(was[:-1], array[: len(was) - 1])
            drive.steps()
            assert env.metrics()["env/restarts"] == restarts - (restarts > 1)
        env.close()


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.faults)])
def test_a_training_run_whose_workers_are_killed_ends_well(
    times: int, tmp_path: Path, injecting: Callable[..., Any]
) -> None:
    random = np.random.default_rng(times)
    command = [sys.executable, "-m", "puffer_core", "train", "ppo", "CartPole-v1", "--run", "run", "--seed", "1"]
    command += ["--vector.mode", "process", "--vector.workers", "1", "--vector.isolate", "true"]
    command += ["--vector.num-envs", "8", "--total-steps", str(8000 * max(1, times // 4)), "--eval-episodes", "2"]
    metrics = tmp_path / "run" / "metrics.jsonl"
    expected = "training ends with exit 0; restarts and the rows they cost stand in metrics.jsonl"
    with (
        deadline(120 + 10 * times),
        injecting("W1", "SIGKILL workers of `puffer train ppo`", expected) as row,
        (tmp_path / "output").open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path, env=ONE_THREAD) as process,
    ):
        while not metrics.is_file() or not metrics.stat().st_size:  # training has begun
            assert process.poll() is None, (tmp_path / "output").read_text()
            time.sleep(0.02)
        for _ in range(times):
            size = metrics.stat().st_size
            while process.poll() is None and metrics.stat().st_size == size:  # an update ended since the last one
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.3))
            forked = [pid for pid in descendants(process.pid) if parent_of(pid) != process.pid]
            if forked:
                os.kill(forked[-1], signal.SIGKILL)
                row.injected += 1
        assert process.wait() == 0, (tmp_path / "output").read_text()
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        restarts = sum(line["env/restarts"] for line in lines)
        assert 1 <= restarts <= row.injected
        assert sum(line["env/lost_transitions"] for line in lines) == 8 * restarts


ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

STUCK = {
    "stop": "chaos_stops_itself",
    "loop": "chaos_loops",
    "c-loop": "chaos_loops_in_c",
    "deaf-loop": "chaos_loops",
    "sleep": "chaos_sleeps",
}


def test_stuck_in_a_step_is_dumped_killed_and_restarted(
    play: Callable[..., Any], tmp_path: Path, injecting: Callable[..., Any]
) -> None:
    stuck(play, tmp_path, injecting, ["stop", "c-loop"])


@pytest.mark.faults
def test_every_way_of_being_stuck_ten_times(
    play: Callable[..., Any], tmp_path: Path, injecting: Callable[..., Any]
) -> None:
    stuck(play, tmp_path, injecting, list(STUCK) * 10)


def stuck(play: Callable[..., Any], tmp_path: Path, injecting: Callable[..., Any], faults: list[str]) -> None:
    vector = {**PROCESS, "num_envs": 4, "timeout": 0.5}
    expected = "found at the deadline (60 s; here 0.5 s), its stack dumped, killed, restarted"
    with injecting("W2", "a worker stopped, or stuck in an endless step", expected) as row:
        scene = play(
            "matrix", 30 + 10 * len(faults), vector=vector, phase="step", faults=faults, marker=str(tmp_path / "stuck")
        )
        assert len(scene.lines) == len(faults), scene.stderr
        for case in scene.lines:
            assert (case["outcome"], case["restarts"], case["lost"]) == ("survived", 1, 2), case
            assert STUCK[case["fault"]] in scene.said(case["fault"]), scene.stderr
            row.took(case["seconds"])


def test_environment_seeds_tell_the_victim() -> None:
    assert len({environment_seed(7, i) for i in range(100)}) == 100
