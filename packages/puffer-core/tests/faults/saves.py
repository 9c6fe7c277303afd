"""Checkpoints whose content follows from their step, and scenes that die while they save: `saves.py NAME JSON`."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from puffer_core.checkpoints.manifest import Header, ResumeEntry
from puffer_core.checkpoints.reading import completed, load, remove_leftovers, step_of
from puffer_core.checkpoints.writing import Saved, save
from puffer_core.plan import RunOptions
from puffer_core.run.kept import KeptCheckpoints
from puffer_testing import FailingFiles, Operation

KEPT = RunOptions(keep_last=2, keep_best=0)


def header(step: int, score: float | None) -> Header:
    return Header(
        step=step,
        unit="env_steps",
        run_id="r",
        config_hash="0",
        policy=None,
        plugins=[],
        runtime={},
        resume=ResumeEntry(bitwise=True, reasons=[]),
        score=score,
    )


def write(directory: Path, step: int, *, version: int = 0, score: float | None = None, replace: bool = False) -> Path:
    """A checkpoint of two components, each of which holds the step and the version."""
    numbers = np.full(64, 1000 * step + version, np.int64)
    return save(
        directory,
        header(step, score),
        {"policy": Saved({"w": numbers}, "m:Policy"), "trainer": Saved({"step": step, "m": numbers}, "m:Trainer")},
        replace=replace,
    )


def go_on(directory: Path, steps: range, options: RunOptions = KEPT) -> None:
    """Save these steps as a run does: leftovers go first, and after each save what is not to stay."""
    remove_leftovers(directory)
    there = completed(directory)
    kept = KeptCheckpoints(directory, options, step_of(there[-1]) if there else None)
    for step in steps:
        write(directory, step)
        kept.add(step, None)
        kept.trim()


def latest(directory: Path) -> tuple[int, int] | None:
    """Step and version of the last checkpoint, which has to be sound and to hold what was saved; None without any."""
    there = completed(directory)
    return content(there[-1]) if there else None


def content(path: Path) -> tuple[int, int]:
    """Step and version of a checkpoint, every part of which says the same."""
    loaded = load(path)
    found = {int(number) for name, key in (("policy", "w"), ("trainer", "m")) for number in loaded.states[name][key]}
    assert len(found) == 1, f"{path}: parts of several saves: {found}"
    step, version = divmod(found.pop(), 1000)
    assert step == loaded.manifest.step == loaded.states["trainer"]["step"], path
    return step, version


def child(act: Callable[[], object]) -> int:
    """Run something in a process of its own; the pid."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    """Exit status of a child; negative: the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at_random(*, place: str, times: int, seed: int) -> None:
    """C1: a process that saves on and on is killed at a random moment, so many times; a line each."""
    directory, moments = Path(place), random.Random(seed)
    began = time.monotonic()
    go_on(directory, range(1, 5))
    reached, one_save = 4, (time.monotonic() - began) / 4
    for _ in range(times):
        before = time.monotonic()
        pid = child(partial(go_on, directory, range(reached + 1, reached + 10_000)))
        time.sleep(moments.uniform(0.0, 6 * one_save))
        os.kill(pid, signal.SIGKILL)
        status = ended(pid)
        assert status == -signal.SIGKILL, status
        leftovers = len(list(directory.glob(".*")))
        found = latest(directory)
        assert found is not None
        assert found[0] >= reached, f"back from {reached} to {found[0]}"
        reached = found[0]
        remove_leftovers(directory)
        assert not list(directory.glob(".*"))
        assert all(content(path)[0] == step_of(path) for path in completed(directory))
        print(json.dumps({"reached": reached, "leftovers": leftovers, "seconds": time.monotonic() - before}))


def killed_at_each(*, place: str, stride: int) -> None:
    """C2: a save killed before each of its operations in turn, or some, by a real signal; a line each."""
    go_on(Path(place), range(1, 3))
    for case, steps, replace in (("first", (), False), ("next", (1, 2), False), ("again", (1, 2), True)):
        for number in count(0, stride):
            directory = Path(place, f"{case}-{number}", "checkpoints")
            directory.parent.mkdir()
            if steps:
                shutil.copytree(place, directory, ignore=shutil.ignore_patterns("first-*", "next-*", "again-*"))
            new = (2, 1) if replace else (len(steps) + 1, 0)
            status = ended(child(partial(_dies, directory, number, new, replace=replace)))
            if replace:  # between two renames the old one stands aside: whoever holds the run brings it back
                remove_leftovers(directory)
            found = latest(directory)
            assert found in (new, (2, 0) if steps else None), (case, number, found)
            go_on(directory, range(8, 9))
            assert latest(directory) == (8, 0)
            assert not list(directory.glob(".*"))
            shutil.rmtree(directory.parent)
            if status == 0:
                assert found == new
                break
            assert status == -signal.SIGKILL, status
            print(json.dumps({"case": case, "number": number, "new": found == new}))


def _dies(directory: Path, number: int, new: tuple[int, int], *, replace: bool) -> None:
    def before(operation: Operation) -> None:
        if operation.number == number:
            os.kill(os.getpid(), signal.SIGKILL)

    with FailingFiles(directory.parent, before):
        if replace:
            write(directory, new[0], version=new[1], replace=True)
        else:
            go_on(directory, range(new[0], new[0] + 1))


if __name__ == "__main__":
    {"killed_at_random": killed_at_random, "killed_at_each": killed_at_each}[sys.argv[1]](**json.loads(sys.argv[2]))
