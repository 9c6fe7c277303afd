from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from puffer_core.checkpoints.reading import completed, load, step_of
from puffer_core.errors import ResourceError
from puffer_core.plan import RunOptions
from puffer_core.plugins import PluginHost
from puffer_core.run import persistence
from puffer_core.run.directory import ExistingRun, Run
from puffer_core.run.kept import KeptCheckpoints
from puffer_core.run.loop import execute
from puffer_core.run.saving import Saver


def steps(run: Path) -> list[int | None]:
    return [step_of(path) for path in completed(run / "checkpoints")]


def scores(run: Path) -> dict[int, float | None]:
    manifests = [load(path).manifest for path in completed(run / "checkpoints")]
    return {manifest.step: manifest.score for manifest in manifests}


class Bench:
    """A saver with a clock and a trainer that are set by hand, writing checkpoints of nothing."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.place, self.now, self.full = place, 0.0, False
        self.said: list[str] = []
        self.written: list[tuple[int, float | None, bool]] = []
        self.trainer = SimpleNamespace(progress=0)
        self.options = RunOptions(**({"checkpoint_seconds": 0, "keep_best": 1} | options))
        monkeypatch.setattr(persistence, "save", self._save)
        self.saver = self.build(None)

    def build(self, last: Path | None) -> Saver:
        directory: Any = SimpleNamespace(checkpoints=self.place, check_there=tuple)
        made: Any = (None, self.trainer, None, directory)
        return Saver(
            *made, options=self.options, before_save=tuple, saved=lambda *_: None, warn=self.said.append, last=last,
            clock=lambda: self.now,
        )  # fmt: skip

    def _save(self, *_: Any, score: float | None, replace: bool) -> Path:
        if self.full:
            raise ResourceError("the disk is full")
        step = self.trainer.progress
        self.written.append((step, score, replace))
        path = self.place / f"step-{step:012d}"
        path.mkdir(exist_ok=True)
        return path

    def update(self, steps: int = 10, score: float | None = None, **metrics: float) -> None:
        before = self.trainer.progress
        self.trainer.progress += steps
        self.saver.judge(self.trainer.progress, metrics if score is None else {"eval/return": score, **metrics})
        self.saver.after_update(before, self.trainer.progress)

    @property
    def steps(self) -> list[int]:
        return [step for step, _, _ in self.written]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    return lambda **options: Bench(tmp_path, monkeypatch, **options)


def test_the_clock_saves_at_the_first_update_that_ends_late_enough(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_seconds=60)
    for now in (30.0, 59.0, 61.0, 120.0, 121.5):
        made.now = now
        made.update()
    assert made.steps == [30, 50]


def test_a_good_evaluation_is_saved_and_of_equal_ones_the_first(bench: Callable[..., Bench]) -> None:
    made = bench()
    for score in (1.0, 3.0, 3.0, None, 2.0, 4.0, float("nan")):
        made.update(score=score)
    assert made.written == [(10, 1.0, False), (20, 3.0, False), (60, 4.0, False)]


def test_another_metric_chooses_among_what_is_saved_anyway(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_every=20, keep_last=1, best_metric="-loss/value")
    for loss in (9.0, 3.0, 1.0, 2.0, 0.5, 4.0, 8.0, 7.0):
        made.update(score=loss, **{"loss/value": loss})
    assert made.written == [(20, -3.0, False), (40, -2.0, False), (60, -4.0, False), (80, -7.0, False)]
    assert sorted(step_of(path) or 0 for path in made.place.iterdir() if path.is_dir()) == [40, 80]
    assert not made.said


def test_a_metric_that_the_run_does_not_have_is_told_once(bench: Callable[..., Bench]) -> None:
    made = bench(best_metric="episode/retrun")
    for _ in range(2):
        made.update(**{"episode/return": 1.0})
    (warning,) = made.said
    assert "this run has no metric episode/retrun. Did you mean episode/return?" in warning


def test_a_score_goes_only_to_its_own_step(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_every=10, keep_best=0)
    made.update(score=5.0)
    made.update()
    assert [score for _, score, _ in made.written] == [5.0, None]


def test_a_step_that_is_saved_is_not_saved_again(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_every=10)
    made.update()
    made.saver.save()
    assert made.steps == [10]


def test_an_evaluation_after_a_resume_is_saved_with_the_step_that_it_judges(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.update()
    made.saver = made.build(made.saver.save())
    made.update(steps=0, score=2.0)
    made.saver.save()
    assert made.written == [(10, None, False), (10, 2.0, True)]


def test_a_save_that_fails_is_told_once_and_tried_after_longer_and_longer_pauses(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_every=10)
    made.update()
    made.full = True
    attempts = []
    for now in range(300):
        made.now, failed = float(now), made.saver.metrics()["system/saves_failed"]
        made.update()
        if made.saver.metrics()["system/saves_failed"] > failed:
            attempts.append(now)
    assert attempts == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    (warning,) = made.said
    assert "the disk is full. Training goes on, and saving is tried again" in warning
    assert "the last checkpoint is step-000000000010" in warning
    made.full, made.now = False, 303.0
    made.update()
    assert "saved, after 10 attempts that failed" in made.said[1]
    made.update()
    assert made.steps[-2:] == [3020, 3030]


def test_the_last_save_does_not_wait_and_is_an_error_where_it_fails(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_every=10)
    made.full = True
    made.update()
    with pytest.raises(ResourceError, match="the disk is full"):
        made.saver.save()
    made.full = False
    assert step_of(made.saver.save()) == 10


def test_what_cannot_be_removed_stays_and_is_told_once(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ResourceError("cannot be removed")

    made = bench(checkpoint_every=10, keep_last=1)
    monkeypatch.setattr("puffer_core.run.kept.remove", refuse)
    for _ in range(4):
        made.update()
    assert made.said == ["warning: cannot be removed. More checkpoints stay than were asked for"]
    assert made.steps == [10, 20, 30, 40]


def test_time_spent_saving_is_told_once(bench: Callable[..., Bench]) -> None:
    made = bench(checkpoint_every=10)
    made.update()
    assert made.saver.metrics().keys() == {"time/save", "system/saves_failed"}
    assert made.saver.metrics()["time/save"] == 0.0


def test_a_run_keeps_the_last_the_best_and_every_so_many(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    execute(
        plans.plan(tmp_path / "r", total_steps=96, eval_every=8, checkpoint_every=8, keep_last=2, keep_every=40), host
    )
    lines = {line["step"]: line["eval/return"] for line in Run(tmp_path / "r").metrics}
    best = max(lines, key=lambda step: (lines[step], -step))
    assert steps(tmp_path / "r") == sorted({40, 80, 88, 96, int(best)})
    assert all(score == lines[step] for step, score in scores(tmp_path / "r").items())


def test_saving_changes_nothing_of_what_is_learned(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    saved_often = plans.plan(tmp_path / "a", total_steps=48, checkpoint_every=8, keep_last=0)
    saved_once = plans.plan(tmp_path / "b", total_steps=48, checkpoint_seconds=0)
    ends = [load(execute(plan, host).latest).states["policy"] for plan in (saved_often, saved_once)]
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])
    assert steps(tmp_path / "b") == [48]


def test_what_a_killed_save_left_is_removed_when_the_run_goes_on(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    execute(plans.plan(tmp_path / "r"), host)
    leftover = tmp_path / "r" / "checkpoints" / ".step-000000000099.1"
    leftover.mkdir()
    with ExistingRun(tmp_path / "r"):
        assert not leftover.exists()


def test_after_a_resume_scores_are_known_from_the_manifests(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    execute(plans.plan(tmp_path / "r", total_steps=32, eval_every=8, checkpoint_every=8, keep_last=0), host)
    found = scores(tmp_path / "r")
    kept = KeptCheckpoints(tmp_path / "r" / "checkpoints", RunOptions(), 16)
    known = max(found[8] or 0.0, found[16] or 0.0)
    assert kept.would_be_among_best(40, known + 1)
    assert not kept.would_be_among_best(40, known)
