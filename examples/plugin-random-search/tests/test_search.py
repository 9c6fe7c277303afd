"""What random search computes, by hand."""

import numpy as np
import pytest
from puffer_random_search.search import mean_return, perturbed


def test_a_rollout_is_worth_its_reward_an_episode():
    rollout = {
        "reward": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "terminated": np.array([[False, False], [True, False], [False, False]]),
        "truncated": np.array([[False, False], [False, True], [False, False]]),
    }
    assert mean_return(rollout) == pytest.approx(21 / 4)


def test_candidates_lie_around_the_parameters():
    params = {"w": np.full(10_000, 3.0, np.float32)}
    candidate = perturbed(params, np.random.default_rng(0), 0.5)["w"]
    assert candidate.dtype == np.float32
    assert candidate.mean() == pytest.approx(3.0, abs=0.02)
    assert candidate.std() == pytest.approx(0.5, abs=0.02)


def test_statistics_are_no_parameters():
    params = {"stats.observation.mean": np.ones(2, np.float32), "w": np.ones(2, np.float32)}
    candidate = perturbed(params, np.random.default_rng(0), 1.0)
    assert candidate["stats.observation.mean"] is params["stats.observation.mean"]
    assert (candidate["w"] != params["w"]).all()
    assert (params["w"] == 1).all()
