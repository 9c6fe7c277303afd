"""C1 to C3, C5, C14: saves that are killed, lose power, or whose files fail; clocks that jump."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from puffer_core.checkpoints.reading import LATEST, completed, remove_leftovers, step_of
from puffer_core.errors import ResourceError
from puffer_core.plan import RunOptions
from puffer_testing import FailingFiles, Operation
from puffer_testing.loading import load_module

Injecting = Callable[..., AbstractContextManager[Any]]
SAVES = Path(__file__).with_name("saves.py")


@pytest.fixture(scope="module")
def saves() -> Any:
    """The module `saves`, which importlib mode does not put on the path."""
    return load_module(SAVES, "puffer_core_fault_saves")


def play(name: str, seconds: float, **arguments: Any) -> list[dict[str, Any]]:
    """The lines that a scene printed; it has to end well, and within a time."""
    command = [sys.executable, str(SAVES), name, json.dumps(arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


KILLED = ("C1", "SIGKILL at a random moment of a process that saves on and on",
          "latest loads, steps never go back; what the save left is removed at the next start")  # fmt: skip


def kill_at_random(tmp_path: Path, times: int, row: Any) -> None:
    lines = play("killed_at_random", 60 + times, place=str(tmp_path / "checkpoints"), times=times, seed=times)
    assert len(lines) == times
    for line in lines:
        row.took(line["seconds"])
    if times >= 100:  # it did get on, and was killed within saves
        assert lines[-1]["reached"] > times // 20
        assert sum(line["leftovers"] > 0 for line in lines) > times // 10


def test_a_save_killed_at_a_random_moment(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(*KILLED) as row:
        kill_at_random(tmp_path, 10, row)


@pytest.mark.faults
def test_a_save_killed_at_200_random_moments(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(*KILLED) as row:
        kill_at_random(tmp_path, 200, row)


EACH = ("C2", "SIGKILL at every file operation of a save, and of removing an older one",
        "latest loads and equals the old or the new state; the next save works and cleans up")  # fmt: skip


def kill_at_each(tmp_path: Path, stride: int, row: Any) -> None:
    lines = play("killed_at_each", 300, place=str(tmp_path), stride=stride)
    for _ in lines:
        row.took(0.0)
    for case in ("first", "next", "again"):
        news = [line["new"] for line in lines if line["case"] == case]
        assert len(news) > 20 // stride, case
        assert news == sorted(news), case  # old, then new from one operation on


def test_a_save_killed_at_some_of_its_file_operations(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(*EACH) as row:
        kill_at_each(tmp_path, 7, row)


@pytest.mark.faults
def test_a_save_killed_at_each_of_its_file_operations(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(*EACH) as row:
        kill_at_each(tmp_path, 1, row)


@pytest.mark.parametrize("before", [0, 2])
def test_power_lost_at_each_file_operation(tmp_path: Path, saves: Any, injecting: Injecting, before: int) -> None:
    run = tmp_path / "run"
    run.mkdir()
    saves.go_on(run / "checkpoints", range(1, before + 1))
    old, new = (before, 0) if before else None, (before + 1, 0)
    found: dict[str, list[bool]] = {"undone": [], "kept": []}
    expected = "latest loads and equals the old or the new state; the new one once the save has returned"
    what = "power loss at every file operation of a save: data not synced gone; renames undone, or all kept"
    with injecting("C3", what, expected) as row:

        def lose(_: Operation | None) -> None:
            for renames, news in found.items():
                target = tmp_path / f"{renames}-{len(news)}"
                files.after_power_loss(target, renames=renames)
                remove_leftovers(target / "checkpoints")
                state = saves.latest(target / "checkpoints")
                assert state in (old, new), (renames, len(news))
                news.append(state == new)
                row.took(0.0)

        with FailingFiles(run, lose) as files:
            saves.go_on(run / "checkpoints", range(before + 1, before + 2))
            lose(None)
    for news in found.values():
        assert news == sorted(news)
        assert news[-1]


BROKEN = ("C5", "EIO, ENOSPC, EROFS, EDQUOT at every file operation of a save",
          "this save is refused with exit 6, or is whole; earlier checkpoints intact; the next save works")  # fmt: skip


def break_each(saves: Any, tmp_path: Path, number: int, stride: int, row: Any) -> None:
    """Let one operation after another fail, until a save has none of that number."""
    saves.go_on(tmp_path / "old", range(1, 3))
    refused = 0
    for which in count(0, stride):
        directory = tmp_path / f"{number}-{which}" / "checkpoints"
        shutil.copytree(tmp_path / "old", directory)

        def before(operation: Operation, which: int = which) -> None:
            if operation.number == which:
                raise OSError(number, os.strerror(number), str(operation.path))

        with FailingFiles(directory.parent, before) as files:
            try:
                saves.go_on(directory, range(3, 4))
            except ResourceError as error:
                told = error
                refused += 1
            else:
                told = None
                assert saves.latest(directory) == (3, 0)
            if len(files.operations) <= which:
                break
            assert told is None or (os.strerror(number) in told.message and told.exit_code == 6)
            assert saves.latest(directory) in ((2, 0), (3, 0))
            saves.go_on(directory, range(4, 5))
        assert [step_of(path) for path in completed(directory)][-1] == 4
        assert len(completed(directory)) <= 3
        assert list(directory.glob(".*")) == []
        row.took(0.0)
    assert refused > 20 // stride


def test_a_fault_of_the_disk_at_some_file_operations(tmp_path: Path, saves: Any, injecting: Injecting) -> None:
    with injecting(*BROKEN) as row:
        break_each(saves, tmp_path, errno.EIO, 7, row)


@pytest.mark.faults
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_fault_of_the_disk_at_each_file_operation(
    tmp_path: Path, saves: Any, injecting: Injecting, number: int
) -> None:
    with injecting(*BROKEN) as row:
        break_each(saves, tmp_path, number, 1, row)


JUMPS = ("C14", "the clock and files' times set years ahead and back; 20 saves within a second", "steps decide")


def test_clocks_that_jump_change_no_order(
    tmp_path: Path, saves: Any, injecting: Injecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = [0.0, 86_400.0 * 400, -86_400.0 * 4_000, 3.0, 3.0, -1.0]
    with injecting(
        "C14", "files' times and the clock set years ahead and back; saves in one second", "steps decide"
    ) as row:
        real = time.time
        for step, jump in enumerate(jumps, 1):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            saves.go_on(tmp_path / "checkpoints", range(step, step + 1))
            for path in completed(tmp_path / "checkpoints"):
                for file in (*path.iterdir(), path):
                    os.utime(file, (1e9 - step * 1e6 + jump, 1e9 - step * 1e6 + jump))
            assert [step_of(path) for path in completed(tmp_path / "checkpoints")] == [step - 1, step][-step:]
            assert saves.latest(tmp_path / "checkpoints") == (step, 0)
            row.took(0.0)
    assert (tmp_path / "checkpoints" / LATEST).read_text() == f"step-{len(jumps):012d}\n"


def test_many_saves_within_a_second_are_told_apart(tmp_path: Path, saves: Any, injecting: Injecting) -> None:
    options = RunOptions(keep_last=5, keep_best=0)
    with injecting(
        "C14", "files' times and the clock set years ahead and back; saves in one second", "steps decide"
    ) as row:
        saves.go_on(tmp_path, range(1, 21), options)
        for path in completed(tmp_path):
            os.utime(path, (1e9, 1e9))
        assert [step_of(path) for path in completed(tmp_path)] == [16, 17, 18, 19, 20]
        row.took(0.0)
