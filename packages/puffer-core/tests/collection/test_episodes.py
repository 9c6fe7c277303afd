"""Episode statistics: sums a row, a window that short episodes cannot flatter."""

from __future__ import annotations

import numpy as np
import pytest

from puffer_core.collection.episodes import EpisodeStatistics


def feed(statistics: EpisodeStatistics, rewards, dones, active=None) -> None:
    counts = np.ones(len(rewards), bool) if active is None else np.asarray(active, bool)
    statistics.add(np.asarray(rewards, np.float32), np.asarray(dones, bool), counts)


def test_sums_follow_each_row():
    statistics = EpisodeStatistics(2)
    feed(statistics, [1, 10], [False, False])
    feed(statistics, [2, 20], [True, False])
    feed(statistics, [5, 30], [True, True])
    metrics = statistics.metrics()
    assert metrics["episode/return"] == pytest.approx((3 + 5 + 60) / 3)
    assert metrics["episode/length"] == pytest.approx((2 + 1 + 3) / 3)


def test_the_window_grows_with_the_rows():
    statistics = EpisodeStatistics(100)
    for reward in (9.0, 1.0, 3.0):
        feed(statistics, np.full(100, reward), np.ones(100, bool))
    assert statistics.metrics()["episode/return_recent"] == 2.0


def test_an_episode_that_lost_a_transition_is_dropped():
    statistics = EpisodeStatistics(2)
    feed(statistics, [5, 1], [False, False])
    feed(statistics, [0, 1], [False, False], active=[False, True])
    feed(statistics, [1, 1], [True, True])
    metrics = statistics.metrics()
    assert metrics["episode/return"] == (1 + 3) / 2
    assert metrics["episode/length"] == (1 + 3) / 2
    assert metrics["episode/count"] == 2


def test_rows_of_dead_agents_count_nothing():
    statistics = EpisodeStatistics(2)
    for step in range(5):
        feed(statistics, [0, 1], [step == 4, step == 4], active=[False, True])
    assert statistics.metrics()["episode/length"] == 5
    assert statistics.finished == 1


def test_many_steps_count_as_one_after_another():
    rng = np.random.default_rng(0)
    reward = rng.normal(size=(40, 3)).astype(np.float32)
    active = rng.random((40, 3)) < 0.9
    done = (rng.random((40, 3)) < 0.1) | ~active
    together, one_by_one = EpisodeStatistics(3), EpisodeStatistics(3)
    together.add_steps(reward, done, active)
    for step in zip(reward, done, active, strict=True):
        one_by_one.add(*step)
    assert together.metrics() == pytest.approx(one_by_one.metrics(), abs=1e-12)
    assert together.finished > 3
    np.testing.assert_allclose(together.state_dict()["returns"], one_by_one.state_dict()["returns"], atol=1e-12)


def test_state_comes_back():
    statistics, other = EpisodeStatistics(2), EpisodeStatistics(2)
    feed(statistics, [1, 2], [False, True])
    other.load_state_dict(statistics.state_dict())
    for each in (statistics, other):
        feed(each, [1, 1], [True, False])
    assert other.finished == statistics.finished == 2
    assert other.state_dict()["recent_returns"].tolist() == statistics.state_dict()["recent_returns"].tolist()
