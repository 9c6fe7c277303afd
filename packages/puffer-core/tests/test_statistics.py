from __future__ import annotations

import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import trim_mean

from puffer_core.errors import UsageError
from puffer_core.statistics import aggregate, coverage_limit, interquartile_mean, mean_interval

SCORES = [480.0, 500.0, 495.0, 120.0, 500.0, 470.0, 30.0, 490.0]


def test_figures_are_those_worked_by_hand() -> None:
    found = aggregate(SCORES)
    assert found.n == 8
    assert found.interquartile_mean.value == (470 + 480 + 490 + 495) / 4  # without 30, 120 and 500, 500
    assert found.mean.value == 385.625
    assert found.median.value == 485.0


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 40])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    scores = np.random.default_rng(n).normal(size=n)
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25), rel=1e-12)


def test_the_same_scores_give_the_same_intervals() -> None:
    assert aggregate(SCORES) == aggregate(np.array(SCORES))


def test_an_interval_holds_its_figure_and_lies_between_the_extremes() -> None:
    found = aggregate(SCORES)
    for estimate in (found.interquartile_mean, found.mean, found.median):
        value, low, high = astuple(estimate)
        assert min(SCORES) <= low < value < high <= max(SCORES)


def test_a_mean_over_many_seeds_has_the_interval_of_the_normal_distribution() -> None:
    scores = np.random.default_rng(0).normal(size=400)
    found = aggregate(scores).mean
    assert (found.low, found.high) == pytest.approx(mean_interval(scores), abs=0.005)


def test_more_confidence_is_a_wider_interval() -> None:
    wide, narrow = (aggregate(SCORES, confidence=confidence).mean for confidence in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_seeds_that_agree_leave_nothing_between() -> None:
    assert astuple(aggregate([500.0] * 5).interquartile_mean) == (500.0, 500.0, 500.0)


def test_one_seed_has_no_interval_and_says_so() -> None:
    found = aggregate([3.0])
    assert astuple(found.mean) == (3.0, None, None)
    assert "one seed says nothing" in found.caveat
    assert found.to_json()["mean"] == {"value": 3.0, "low": None, "high": None}


@pytest.mark.parametrize(("n", "said"), [(2, "n = 2"), (5, "93.8 %"), (6, ""), (50, "")])
def test_few_seeds_are_said_to_be_few(n: int, said: str) -> None:
    caveat = aggregate(list(map(float, range(n)))).caveat
    assert (said in caveat) if said else not caveat


def test_the_true_median_lies_between_so_few_seeds_as_often_as_is_said() -> None:
    draws = np.random.default_rng(0).exponential(size=(20_000, 3))
    inside = (draws.min(axis=1) < np.log(2)) & (draws.max(axis=1) > np.log(2))
    assert inside.mean() == pytest.approx(coverage_limit(3), abs=0.015)


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_scores_that_are_no_numbers_are_refused(scores: list[float]) -> None:
    for figure in (aggregate, interquartile_mean):
        with pytest.raises(UsageError, match="expected"):
            figure(scores)


def test_a_confidence_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"confidence: got 95.0, expected a number between 0 and 1"):
        aggregate(SCORES, confidence=95.0)


def test_without_scipy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError) as refused:
        aggregate(SCORES)
    assert 'pip install "puffer-core[seeds]"' in refused.value.remedy


def test_few_episodes_have_no_interval_by_the_central_limit_theorem() -> None:
    assert mean_interval([1.0] * 29) is None
    assert mean_interval([1.0] * 30) == (1.0, 1.0)


def test_reading_the_module_does_not_import_scipy() -> None:
    code = "import sys, puffer_core.statistics as s; s.interquartile_mean([1.0]); print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
