from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffer_core.normalisers import (
    moments_init,
    moments_update,
    normalise,
    return_moments,
    scale_reward,
)
from puffer_core.numpy_backend import numpy_ops as ops

F32 = np.float32


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 1000))
def test_merging_batches_is_taking_all_at_once(sizes: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(3.0, 2.0, (sum(sizes), 2))
    moments = {name: value.astype(np.float64) for name, value in moments_init((2,)).items()}
    for batch in np.split(x, np.cumsum(sizes)[:-1]):
        moments = moments_update(ops, moments, batch)
    np.testing.assert_allclose(moments["mean"], x.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(moments["variance"], x.var(axis=0), rtol=1e-9, atol=1e-12)
    assert moments["count"] == len(x)


def test_float32_keeps_its_precision_far_from_zero() -> None:
    centre = np.array([0.0, 1e3, -1e4], F32)
    x = (centre + np.random.default_rng(0).standard_normal((1_000_000, 3), F32)).astype(F32)
    moments = moments_init((3,))
    for batch in x.reshape(125, 125, 64, 3):
        moments = moments_update(ops, moments, batch)
    assert {value.dtype for value in moments.values()} == {np.dtype(F32)}
    exact = x.astype(np.float64)
    np.testing.assert_allclose(moments["mean"], exact.mean(axis=0), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(moments["variance"], exact.var(axis=0), rtol=1e-3)


def test_first_batch_far_from_zero_is_exact() -> None:
    x = (1e5 + np.random.default_rng(0).standard_normal((128, 64))).astype(F32)
    moments = moments_update(ops, moments_init(()), x)
    np.testing.assert_allclose(moments["variance"], x.astype(np.float64).var(), rtol=1e-4)


def test_weight_leaves_entries_out_even_if_they_are_nan() -> None:
    x = np.array([[[1.0], [np.nan]], [[3.0], [9.0]]], F32)
    weight = np.array([[1.0, 0.0], [1.0, 0.0]], F32)
    moments = moments_update(ops, moments_init((1,)), x, weight)
    assert (moments["mean"][0], moments["variance"][0], moments["count"]) == (2.0, 1.0, 2.0)


def test_nothing_seen_changes_nothing() -> None:
    moments = moments_update(ops, moments_init((1,)), np.ones((2, 2, 1), F32), np.zeros((2, 2), F32))
    for name, value in moments_init((1,)).items():
        np.testing.assert_array_equal(moments[name], value)


def test_fresh_moments_leave_observations_as_they_are() -> None:
    x = np.array([[[-2.0, 0.5]]], F32)
    np.testing.assert_allclose(normalise(ops, moments_init((2,)), x, clip=10.0), x, rtol=1e-6)


def test_each_feature_is_normalised_by_its_own_scale() -> None:
    x = np.random.default_rng(0).normal((5.0, -300.0), (0.1, 40.0), (1000, 1, 2)).astype(F32)
    got = normalise(ops, moments_update(ops, moments_init((2,)), x), x, clip=10.0)
    np.testing.assert_allclose(got.mean(axis=(0, 1)), 0.0, atol=1e-3)
    np.testing.assert_allclose(got.std(axis=(0, 1)), 1.0, rtol=1e-3)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -12345.678, 1e6])
def test_constant_feature_stays_near_zero(constant: float) -> None:
    x = np.full((64, 8, 1), constant, F32)
    moments = moments_init((1,))
    for _ in range(20):
        moments = moments_update(ops, moments, x)
    assert np.abs(normalise(ops, moments, x, clip=10.0)).max() < 0.5
    assert np.isfinite(normalise(ops, moments, x + 1, clip=10.0)).all()


def test_outliers_are_clipped() -> None:
    got = normalise(ops, moments_init((1,)), np.array([[1e9], [-1e9]], F32), clip=3.0)
    assert got.ravel().tolist() == [3.0, -3.0]


def test_running_return_restarts_with_each_episode_and_is_carried_on() -> None:
    reward, gamma = np.random.default_rng(0).standard_normal((40, 3)), 0.9
    done = np.random.default_rng(1).random((40, 3)) < 0.2
    seen, running = [], np.zeros(3)
    for t in range(40):
        running = gamma * running + reward[t]
        seen.append(running)
        running = np.where(done[t], 0.0, running)
    moments = {name: value.astype(np.float64) for name, value in moments_init(()).items()}
    carry = np.zeros(3)
    for part in (slice(0, 7), slice(7, 8), slice(8, 40)):
        moments, carry = return_moments(ops, moments, carry, reward[part], done[part], gamma)
    np.testing.assert_allclose(carry, running)
    np.testing.assert_allclose(moments["mean"], np.mean(seen))
    np.testing.assert_allclose(moments["variance"], np.var(seen))


def test_inactive_steps_leave_the_running_return() -> None:
    reward, active = np.array([[1.0], [7.0], [1.0]]), np.array([[True], [False], [True]])
    never = np.zeros((3, 1), bool)
    moments, carry = return_moments(ops, moments_init(()), np.zeros(1), reward, never, 0.5, active)
    assert carry.tolist() == [1.5]
    assert (moments["mean"], moments["count"]) == (1.25, 2.0)


def test_rewards_are_scaled_by_the_return_and_never_centred() -> None:
    moments = {"mean": np.array(100.0), "variance": np.array(25.0), "count": np.array(10.0)}
    np.testing.assert_allclose(scale_reward(ops, moments, np.array([[0.0, 5.0, -10.0]])), [[0.0, 1.0, -2.0]], rtol=1e-6)


def test_scaled_rewards_are_bounded_where_returns_do_not_vary() -> None:
    moments = {"mean": np.array(1.0), "variance": np.array(0.0), "count": np.array(10.0)}
    assert scale_reward(ops, moments, np.array([[1.0, -1.0]])).tolist() == [[10.0, -10.0]]
    assert scale_reward(ops, moments, np.array([[1.0]]), clip=2.0).tolist() == [[2.0]]
