"""C10: SIGTERM in every phase. C11: SIGINT once and twice. C12: a signal to the whole process group."""

from __future__ import annotations

import fcntl
import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Injecting = Callable[..., AbstractContextManager[Any]]
PHASES = {"collect": 50, "learn": 2, "evaluate": 3, "save": 2, "write": 60, "close": 1}
TERMINATED = "a durable checkpoint within 5 s, exit 143"


def terminated(train: Callable[..., Any], where: Path, row: Any, phase: str, at: int) -> None:
    ended = train(where, phase=phase, at=1 if phase == "close" else at, do="SIGTERM")
    assert ended.code == 143, ended.stderr
    said = ended.stderr.splitlines()[0]
    assert said.removeprefix("finished, then ").startswith("stopped by SIGTERM at step "), ended.stderr
    assert phase != "close" or said.startswith("finished")
    assert said.endswith(f"saved in run/checkpoints/{ended.sound[-1]}")
    logged = [json.loads(line)["step"] for line in (ended.run / "metrics.jsonl").read_text().splitlines()]
    last = int(ended.sound[-1].removeprefix("step-"))
    assert logged == list(range(32, last + 1, 32))[: len(logged)]
    assert len(logged) >= last // 32 - 1  # what an interrupted evaluation belongs to is logged after a resume
    row.took(ended.seconds)


@pytest.mark.parametrize("phase", ["learn", "evaluate", "write", "close"])
def test_terminated(tmp_path: Path, train: Callable[..., Any], injecting: Injecting, phase: str) -> None:
    with injecting("C10", f"SIGTERM: {phase}", TERMINATED) as row:
        terminated(train, tmp_path, row, phase, PHASES[phase])


@pytest.mark.faults
@pytest.mark.parametrize("phase", PHASES)
def test_terminated_ten_times(tmp_path: Path, train: Callable[..., Any], injecting: Injecting, phase: str) -> None:
    with injecting("C10", f"SIGTERM: {phase}", TERMINATED) as row:
        moments = {
            "collect": range(3, 123, 12), "learn": (1, 2, 3, 4), "evaluate": range(1, 38, 4), "save": (1, 2, 3),
            "write": range(2, 102, 10),
        }  # fmt: skip
        for number in range(10):
            visits = list(moments.get(phase, (1,)))
            terminated(train, tmp_path / str(number), row, phase, visits[number % len(visits)])


def free(run: Path) -> bool:
    with (run / "run.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where somebody holds it
    return True


def test_interrupted_once(tmp_path: Path, train: Callable[..., Any], injecting: Injecting) -> None:
    with injecting("C11", "SIGINT once", "the update is finished and saved, exit 130") as row:
        ended = train(tmp_path, phase="collect", at=50, do="SIGINT")
        assert ended.code == 130
        assert ended.stderr.startswith("stopped by SIGINT at step 64; saved in run/checkpoints/step-000000000064")
        assert ended.sound[-1] == "step-000000000064"
        row.took(ended.seconds)


PPO = [
    *("train", "ppo", "py:rooms:Room", "--vector.mode", "process", "--vector.workers", "1", "--vector.num-envs", "4"),
    *("--horizon", "16", "--minibatches", "2", "--total-steps", "1024", "--eval-episodes", "4", "--run", "run"),
]
TWICE = "out within 1 s with exit 130; no process stays, the lock is free, checkpoints are whole"


@pytest.mark.parametrize(
    "phase",
    ["learn", *(pytest.param(phase, marks=pytest.mark.faults) for phase in ("collect", "evaluate", "save", "write"))],
)
def test_interrupted_twice(tmp_path: Path, train: Callable[..., Any], injecting: Injecting, phase: str) -> None:
    with injecting("C11", "SIGINT twice", TWICE) as row:
        ended = train(tmp_path, phase=phase, at=PHASES[phase], do="SIGINT", times=2)
        assert (ended.code, ended.stderr.strip()) == (130, "")
        assert ended.sound
        assert free(ended.run)
        assert not list(ended.run.glob("stacks-*"))
        row.took(ended.seconds)


IMPORTING = """
import os, signal, sys
from puffer_core.__main__ import main

class Interrupting:
    def find_spec(self, name, *_):
        if name == "puffer_core.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_interrupted_while_modules_are_imported(
    tmp_path: Path, train: Callable[..., Any], injecting: Injecting
) -> None:
    with injecting("C11", "SIGINT while the command line is imported", "no traceback; exit 130 in a shell") as row:
        ended = train(tmp_path, wrapper=IMPORTING)
        assert (ended.code, ended.stderr) == (-signal.SIGINT, "")
        row.injected += 1


def test_interrupted_again_while_a_logger_hangs_in_close(
    tmp_path: Path, train: Callable[..., Any], injecting: Injecting
) -> None:
    with injecting("C11", "SIGINT, and again when all is saved and a logger hangs in close", TWICE) as row:
        ended = train(tmp_path, phase="learn", at=2, do="SIGINT", hangs=True)
        assert (ended.code, ended.stderr.strip()) == (130, "")
        assert ended.sound[-1] == "step-000000000064"
        assert free(ended.run)
        row.took(ended.seconds)


@pytest.mark.faults
def test_interrupted_twice_with_workers_and_an_engine(
    tmp_path: Path, train: Callable[..., Any], injecting: Injecting
) -> None:
    pytest.importorskip("puffer_ppo")
    with injecting("C11", "SIGINT twice: PPO on torch, workers", TWICE) as row:
        for number in range(3):
            ended = train(tmp_path / str(number), command=PPO, phase="collect", at=100 + number, do="SIGINT", times=2)
            assert (ended.code, ended.stderr.strip()) == (130, "")
            assert free(ended.run)
            assert not (ended.run / "workers.json").exists()
            assert ended.left_behind(1.0) == []
            row.took(ended.seconds)


@pytest.mark.parametrize("signum", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.faults)])
def test_a_signal_to_the_whole_group(
    tmp_path: Path, train: Callable[..., Any], injecting: Injecting, signum: str
) -> None:
    with injecting("C12", f"{signum} to the process group", "workers ignore it, the main process saves") as row:
        options = ("--vector.mode", "process", "--vector.workers", "1", "--vector.isolate", "true")
        ended = train(tmp_path, *options, phase="learn", at=2, do=signum, group=True)
        assert ended.code == {"SIGTERM": 143, "SIGINT": 130}[signum], ended.stderr
        assert ended.sound[-1] == "step-000000000064"
        lines = [json.loads(line) for line in (ended.run / "metrics.jsonl").read_text().splitlines()]
        assert {line["env/restarts"] for line in lines} == {0}
        assert "warning" not in ended.stderr
        assert ended.left_behind(1.0) == []
        row.took(ended.seconds)
