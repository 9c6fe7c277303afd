from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffer_core.checkpoints.retention import remove, retained
from puffer_core.errors import ResourceError

steps_ = st.sets(st.integers(0, 10**6), max_size=30)
lasts = st.integers(1, 40)
everies = st.integers(0, 10**5)


@given(steps_, lasts, everies, st.data())
def test_nothing_is_invented_and_the_last_sound_one_stays(
    steps: set[int], keep_last: int, keep_every: int, data: st.DataObject
) -> None:
    sound = data.draw(st.sets(st.sampled_from(sorted(steps)))) if steps else set()
    kept = retained(steps, keep_last, keep_every, sound)
    assert kept <= steps
    if sound:
        assert max(sound) in kept
        assert kept <= sound
    else:
        assert kept == steps


@given(steps_, lasts, everies)
def test_the_latest_stay(steps: set[int], keep_last: int, keep_every: int) -> None:
    assert set(sorted(steps)[len(steps) - keep_last :] if keep_last < len(steps) else steps) <= retained(
        steps, keep_last, keep_every
    )


@given(steps_, everies)
def test_zero_keeps_all_that_are_sound(steps: set[int], keep_every: int) -> None:
    assert retained(steps, 0, keep_every) == steps
    assert retained([10, 20, 30], 0, sound=[10, 30]) == {10, 30}


@given(st.dictionaries(st.integers(0, 99), st.integers(0, 5)), lasts, st.integers(0, 9))
def test_the_best_stay_and_of_equals_the_earlier(scores: dict[int, int], keep_last: int, keep_best: int) -> None:
    kept = retained(scores, keep_last, keep_best=keep_best, scores=scores)
    by_score = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    assert {step for step, _ in by_score[:keep_best]} <= kept
    assert retained(kept, keep_last, keep_best=keep_best, scores=scores) == kept


def test_a_damaged_one_is_not_the_best() -> None:
    assert retained([10, 20, 30], 1, sound=[20, 30], keep_best=1, scores={10: 9.0, 20: 5.0}) == {20, 30}
    assert retained([10, 20], 1, keep_best=2, scores={5: 9.0}) == {20}


@given(steps_, lasts, everies)
def test_doing_it_twice_is_doing_it_once(steps: set[int], keep_last: int, keep_every: int) -> None:
    kept = retained(steps, keep_last, keep_every)
    assert retained(kept, keep_last, keep_every) == kept


@given(steps_, lasts, everies)
def test_more_kept_is_never_less(steps: set[int], keep_last: int, keep_every: int) -> None:
    assert retained(steps, keep_last) <= retained(steps, keep_last, keep_every)
    assert retained(steps, keep_last, keep_every) <= retained(steps, keep_last + 1, keep_every)


@given(steps_, st.integers(1, 10**5))
def test_each_multiple_keeps_the_first_at_or_after_it(steps: set[int], keep_every: int) -> None:
    kept = retained(steps, 1, keep_every)
    for multiple in {step // keep_every for step in steps} - {0}:
        assert min(step for step in steps if step // keep_every == multiple) in kept


@settings(max_examples=30, deadline=None)
@given(steps=st.sets(st.integers(0, 99), min_size=1, max_size=6), keep_last=st.integers(1, 6), crash=st.integers(0, 12))
def test_a_crash_at_any_deletion_leaves_what_stays_and_latest_names_one(
    tmp_path_factory: pytest.TempPathFactory, steps: set[int], keep_last: int, crash: int
) -> None:
    place = tmp_path_factory.mktemp("checkpoints")
    paths = {step: place / f"step-{step:012d}" for step in steps}
    for path in paths.values():
        path.mkdir()
        (path / "manifest.json").write_text("{}")
    (place / "LATEST").write_text(f"{paths[max(steps)].name}\n")
    kept = retained(steps, keep_last)
    calls = 0

    def counted(name: str, original: object) -> object:
        def call(*arguments: object, **keywords: object) -> object:
            nonlocal calls
            calls += 1
            if calls > crash:
                raise OSError(5, "power loss", name)
            return original(*arguments, **keywords)  # type: ignore[operator]

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", counted("replace", Path.replace))
        patch.setattr(shutil, "rmtree", counted("rmtree", shutil.rmtree))
        try:
            remove(place, [paths[step] for step in sorted(steps - kept)], paths[max(kept)])
        except ResourceError:
            assert crash < 1 + 2 * len(steps - kept)
    whole = {path.name for path in place.glob("step-*")}
    assert {paths[step].name for step in kept} <= whole
    assert all((place / name / "manifest.json").exists() for name in whole)
    assert (place / "LATEST").read_text().strip() in whole
