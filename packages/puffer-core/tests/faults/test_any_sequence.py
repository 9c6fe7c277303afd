"""C15: any sequence of saves, crashes, power losses, faults of the disk, retention settings and prunings."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from puffer_core.checkpoints.pruning import prune
from puffer_core.checkpoints.reading import completed, is_sound, remove_leftovers, step_of
from puffer_core.durable import make_directory
from puffer_core.errors import ResourceError
from puffer_core.plan import RunOptions
from puffer_core.run.kept import KeptCheckpoints
from puffer_testing import Crashed, FailingFiles, Operation
from puffer_testing.loading import load_module

saves = load_module(Path(__file__).with_name("saves.py"), "puffer_core_fault_saves")

OPTIONS = st.builds(
    RunOptions, keep_last=st.integers(0, 3), keep_best=st.integers(0, 2), keep_every=st.sampled_from([0, 2, 5])
)
FAULTS = st.none() | st.tuples(st.sampled_from(["crash", "EIO", "ENOSPC"]), st.integers(0, 60))


class Sequence(RuleBasedStateMachine):
    """A run that is saved, crashes and goes on; `injected` counts the faults of all sequences."""

    injected = 0

    @initialize(options=OPTIONS)
    def begin(self, options: RunOptions) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.lives, self.durable, self.step = 0, 0, 0
        self.fault: tuple[int, BaseException] | None = None
        self._live(self.place / "0")
        make_directory(self.run)
        self.go_on(options)

    def _live(self, run: Path) -> None:
        run.parent.mkdir(exist_ok=True)
        self.run = run / "run"
        run.mkdir(exist_ok=True)
        self.files = FailingFiles(run, self._before)
        self.files.__enter__()

    def _before(self, operation: Operation) -> None:
        if self.fault is not None and operation.number >= self.fault[0]:
            error, self.fault = self.fault[1], None
            type(self).injected += 1
            raise error

    def _plan(self, fault: tuple[str, int] | None) -> None:
        if fault is None:
            self.fault = None
            return
        kind, after = fault
        error = Crashed() if kind == "crash" else OSError(getattr(errno, kind), kind)
        self.fault = (len(self.files.operations) + after, error)

    @property
    def directory(self) -> Path:
        return self.run / "checkpoints"

    @rule(options=OPTIONS)
    def go_on(self, options: RunOptions) -> None:
        """A process begins, or goes on from the last that is sound, perhaps with other settings."""
        self.fault = None
        self.files.restart()
        remove_leftovers(self.directory)
        sound = [path for path in completed(self.directory) if is_sound(path)]
        last = step_of(sound[-1]) if sound else None
        self.step = last or 0
        self.kept = KeptCheckpoints(self.directory, options, last)

    @rule(steps=st.integers(1, 3), score=st.none() | st.integers(0, 3), fault=FAULTS, options=OPTIONS)
    def save(self, steps: int, score: int | None, fault: tuple[str, int] | None, options: RunOptions) -> None:
        self.step += steps
        self._plan(fault)
        value = None if score is None else float(score)
        try:
            saves.write(self.directory, self.step, score=value)
            self.durable = self.step
            self.kept.add(self.step, value)
            self.kept.trim()
        except ResourceError:
            pass
        except Crashed:
            self.go_on(options)
        self.fault = None

    @rule(fault=FAULTS, options=OPTIONS)
    def save_again(self, fault: tuple[str, int] | None, options: RunOptions) -> None:
        """The present step, with what came to be known since; where that is saved."""
        if self.step not in {step_of(path) for path in completed(self.directory)}:
            return
        self._plan(fault)
        try:
            saves.write(self.directory, self.step, version=1, replace=True)
            self.kept.add(self.step, None)
        except ResourceError:
            remove_leftovers(self.directory)
        except Crashed:
            self.go_on(options)
        self.fault = None

    @rule(renames=st.sampled_from(["undone", "kept"]), options=OPTIONS)
    def lose_power(self, renames: Any, options: RunOptions) -> None:
        type(self).injected += 1
        self.lives += 1
        after = self.place / str(self.lives)
        self.files.after_power_loss(after, renames=renames)
        self.files.__exit__(None, None, None)
        self._live(after)
        self.go_on(options)

    @rule(keep_last=st.integers(1, 3), keep_best=st.integers(0, 2), options=OPTIONS)
    def prune(self, keep_last: int, keep_best: int, options: RunOptions) -> None:
        prune(self.run, keep_last, keep_best=keep_best)
        self.go_on(options)

    @invariant()
    def one_that_is_durable_stays(self) -> None:
        if not hasattr(self, "files") or not self.durable:
            return
        latest = saves.latest(self.directory)
        assert latest is not None
        assert latest[0] >= self.durable, f"back from {self.durable} to {latest[0]}"

    def teardown(self) -> None:
        if hasattr(self, "files"):
            self.files.__exit__(None, None, None)
            shutil.rmtree(self.place)


def sequences(examples: int, injecting: Any) -> None:
    expected = "never fewer than one durable checkpoint after the first, and steps never go back"
    Sequence.injected = 0
    with injecting("C15", "any sequence of saves, crashes, power losses, faults, retention settings", expected) as row:
        chosen = settings(
            max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_state_machine_as_test(Sequence, settings=chosen)
        for _ in range(Sequence.injected):
            row.took(0.0)


def test_any_sequence_leaves_a_durable_checkpoint(injecting: Any) -> None:
    sequences(4, injecting)


@pytest.mark.faults
def test_many_sequences_leave_a_durable_checkpoint(injecting: Any) -> None:
    sequences(60, injecting)
