"""Returns and advantages against slow float64 references, and the mistakes that others made."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffer_core.errors import ShapeError
from puffer_core.numpy_backend import numpy_ops as ops
from puffer_core.returns import (
    discount_and_bootstrap,
    gae,
    lambda_returns,
    vtrace,
)

Rollout = dict[str, np.ndarray]


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """Rollouts with episodes that end in every way, and inactive steps."""
    steps, rows = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (steps, rows)
    return {
        "value": 10 * generator.standard_normal((steps + 1, rows)),
        "reward": generator.standard_normal(shape),
        "discount": 0.97 * (generator.random(shape) < 0.8),
        "log_ratio": generator.standard_normal(shape),
        "active": generator.random(shape) < draw(st.sampled_from([1.0, 0.7, 0.0])),
    }


def slow_gae(value: Any, reward: Any, discount: Any, active: Any, lambda_: float) -> Any:
    """Schulman et al. 2016, eq. 16, as the sum that it is."""
    steps, rows = reward.shape
    advantage = np.zeros((steps, rows))
    for n in range(rows):
        for t in range(steps):
            weight, k = 1.0, t
            while k < steps and active[k, n]:
                delta = reward[k, n] + discount[k, n] * value[k + 1, n] - value[k, n]
                advantage[t, n] += weight * delta
                weight *= discount[k, n] * lambda_
                k += 1
    return advantage


def slow_vtrace(
    arrays: list[np.ndarray], active: np.ndarray, lambda_: float, rho_clip: float, c_clip: float
) -> tuple[Any, Any]:
    """Espeholt et al. 2018, eq. 1, as the sum over products that it is; advantages of section 4.2."""
    value, reward, discount, log_ratio = arrays
    steps, rows = reward.shape
    ratio = np.exp(log_ratio)
    target = np.array(value)
    for n in range(rows):
        for s in range(steps):
            product, t = 1.0, s
            while t < steps and active[t, n]:
                delta = min(rho_clip, ratio[t, n]) * (reward[t, n] + discount[t, n] * value[t + 1, n] - value[t, n])
                target[s, n] += product * delta
                product *= discount[t, n] * lambda_ * min(c_clip, ratio[t, n])
                t += 1
    advantage = np.zeros((steps, rows))
    for t, n in np.argwhere(active):
        ahead = lambda_ * target[t + 1, n] + (1 - lambda_) * value[t + 1, n]
        advantage[t, n] = min(rho_clip, ratio[t, n]) * (reward[t, n] + discount[t, n] * ahead - value[t, n])
    return advantage, target[:-1]


def slow_lambda_return(value: Any, reward: Any, discount: Any, lambda_: float) -> Any:
    """The weighted mean of n-step returns (Sutton and Barto 2018, eq. 12.9), for one row."""
    steps = len(reward)

    def n_step(t: int, n: int) -> Any:
        total, weight = 0.0, 1.0
        for k in range(t, t + n):
            total += weight * reward[k]
            weight *= discount[k]
        return total + weight * value[t + n]

    returns = []
    for t in range(steps):
        last = steps - t
        mixed = sum((1 - lambda_) * lambda_ ** (n - 1) * n_step(t, n) for n in range(1, last))
        returns.append(mixed + lambda_ ** (last - 1) * n_step(t, last))
    return returns


@settings(deadline=None)
@given(rollouts(), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_gae_is_its_definition(rollout: Rollout, lambda_: float) -> None:
    value, reward, discount, active = (rollout[name] for name in ("value", "reward", "discount", "active"))
    got = gae(ops, value, reward, discount, lambda_=lambda_, active=active)
    expected = slow_gae(value, reward, discount, active, lambda_)
    np.testing.assert_allclose(got.advantage, expected, atol=1e-9)
    np.testing.assert_allclose(got.target, expected + value[:-1], atol=1e-9)


@settings(deadline=None)
@given(rollouts(), st.sampled_from([0.5, 1.0]), st.sampled_from([(1.0, 1.0), (2.0, 0.7), (float("inf"), 1.0)]))
def test_vtrace_is_its_definition(rollout: Rollout, lambda_: float, clips: tuple[float, float]) -> None:
    arrays = [rollout[name] for name in ("value", "reward", "discount", "log_ratio")]
    got = vtrace(ops, *arrays, lambda_=lambda_, rho_clip=clips[0], c_clip=clips[1], active=rollout["active"])
    advantage, target = slow_vtrace(arrays, rollout["active"], lambda_, *clips)
    np.testing.assert_allclose(got.advantage, advantage, atol=1e-9)
    np.testing.assert_allclose(got.target, target, atol=1e-9)


@settings(deadline=None)
@given(rollouts(), st.sampled_from([0.0, 0.4, 1.0]))
def test_lambda_return_is_the_mean_of_n_step_returns(rollout: Rollout, lambda_: float) -> None:
    value, reward, discount = rollout["value"], rollout["reward"], rollout["discount"]
    got = lambda_returns(ops, value, reward, discount, lambda_=lambda_)
    for n in range(reward.shape[1]):
        expected = slow_lambda_return(value[:, n], reward[:, n], discount[:, n], lambda_)
        np.testing.assert_allclose(got[:, n], expected, atol=1e-9)


@settings(deadline=None)
@given(rollouts(), st.sampled_from([0.0, 0.9, 1.0]))
def test_on_policy_vtrace_gae_and_lambda_returns_agree(rollout: Rollout, lambda_: float) -> None:
    value, reward, discount, active = (rollout[name] for name in ("value", "reward", "discount", "active"))
    kwargs: dict[str, Any] = {"lambda_": lambda_, "active": active}
    one = gae(ops, value, reward, discount, **kwargs)
    other = vtrace(ops, value, reward, discount, np.zeros_like(reward), **kwargs)
    np.testing.assert_allclose(other.advantage, one.advantage, atol=1e-9)
    np.testing.assert_allclose(other.target, one.target, atol=1e-9)
    np.testing.assert_allclose(lambda_returns(ops, value, reward, discount, **kwargs), one.target, atol=1e-9)


def test_on_policy_vtrace_with_lambda_one_is_the_n_step_return() -> None:
    value, reward, discount = np.array([[5.0], [7.0], [3.0]]), np.array([[1.0], [2.0]]), np.full((2, 1), 0.5)
    got = vtrace(ops, value, reward, discount, np.zeros((2, 1)))
    np.testing.assert_allclose(got.target, [[1.0 + 0.5 * (2.0 + 0.5 * 3.0)], [2.0 + 0.5 * 3.0]])


def test_vtrace_ratio_weighs_the_whole_error_and_not_the_reward_only() -> None:
    value, reward, discount = np.array([[4.0], [6.0]]), np.array([[1.0]]), np.array([[0.5]])
    got = vtrace(ops, value, reward, discount, np.log([[0.25]]))
    np.testing.assert_allclose(got.target, [[4.0 + 0.25 * (1.0 + 3.0 - 4.0)]])
    value[1] = 2.0
    got = vtrace(ops, value, reward, discount, np.log([[0.25]]))
    np.testing.assert_allclose(got.advantage, [[0.25 * (1.0 + 1.0 - 4.0)]])


def test_vtrace_bounds_a_ratio_that_would_overflow() -> None:
    ones = np.ones((1, 1), np.float32)
    got = vtrace(ops, np.zeros((2, 1), np.float32), ones, ones, 1000 * ones)
    np.testing.assert_array_equal(got.advantage, ones)


def test_truncation_bootstraps_and_termination_does_not() -> None:
    ends, no = np.array([[False, False], [True, True]]), np.zeros((2, 2), bool)
    truncated, terminated = ends & [[True, False]], ends & [[False, True]]
    assert not no.any()
    reward, discount = discount_and_bootstrap(ops, np.ones((2, 2)), terminated, truncated, np.full((2, 2), 8.0), 0.5)
    np.testing.assert_array_equal(reward, [[1.0, 1.0], [5.0, 1.0]])
    np.testing.assert_array_equal(discount, [[0.5, 0.5], [0.0, 0.0]])
    next_episode = np.array([[0.0, 0.0], [0.0, 0.0], [99.0, 99.0]])
    got = gae(ops, next_episode, reward, discount, lambda_=1.0)
    np.testing.assert_array_equal(got.advantage, [[3.5, 1.5], [5.0, 1.0]])


def test_termination_wins_over_truncation() -> None:
    both = np.array([[True]])
    reward, discount = discount_and_bootstrap(ops, np.ones((1, 1)), both, both, np.full((1, 1), 8.0), 0.5)
    assert reward.tolist() == [[1.0]]
    assert discount.tolist() == [[0.0]]


def test_final_value_of_a_running_episode_is_not_read() -> None:
    no = np.zeros((1, 1), bool)
    reward, _ = discount_and_bootstrap(ops, np.ones((1, 1)), no, no, np.full((1, 1), np.nan), 0.5)
    assert reward.tolist() == [[1.0]]


def test_last_step_is_not_wasted() -> None:
    value, reward, discount = np.array([[1.0], [1.0], [4.0]]), np.ones((2, 1)), np.full((2, 1), 0.5)
    assert gae(ops, value, reward, discount, lambda_=0.9).advantage[-1] == 1.0 + 0.5 * 4.0 - 1.0
    assert vtrace(ops, value, reward, discount, np.zeros((2, 1))).advantage[-1] == 2.0


def test_nothing_flows_through_an_inactive_step() -> None:
    active = np.array([[True], [False], [True]])
    value, discount = np.array([[1.0], [2.0], [3.0], [4.0]]), np.full((3, 1), 0.5)
    reward = np.array([[1.0], [np.nan], [1.0]])
    got = gae(ops, value, reward, discount, lambda_=1.0, active=active)
    np.testing.assert_array_equal(got.advantage, [[1.0], [0.0], [0.0]])
    np.testing.assert_array_equal(got.target[1], [2.0])
    off_policy = vtrace(ops, value, reward, discount, np.zeros((3, 1)), active=active)
    np.testing.assert_array_equal(off_policy.advantage, got.advantage)
    np.testing.assert_array_equal(
        lambda_returns(ops, value, reward, discount, lambda_=1.0, active=active), [[2.0], [2.0], [3.0]]
    )


def test_float32_stays_and_is_close_to_float64() -> None:
    generator = np.random.default_rng(0)
    value, reward = generator.standard_normal((129, 8)), generator.standard_normal((128, 8))
    discount = np.full((128, 8), 0.99)
    exact = gae(ops, value, reward, discount, lambda_=0.95)
    rounded = gae(ops, *(x.astype(np.float32) for x in (value, reward, discount)), lambda_=0.95)
    assert rounded.advantage.dtype == rounded.target.dtype == np.float32
    np.testing.assert_allclose(rounded.advantage, exact.advantage, rtol=1e-4, atol=1e-5)


def test_shapes_that_do_not_fit_are_named() -> None:
    ones = np.ones((3, 2))
    with pytest.raises(ShapeError, match=r"reward is \(3, 2\), value is \(3, 2\); value needs"):
        gae(ops, ones, ones, ones, lambda_=0.9)
    unchecked = inspect.unwrap(vtrace)  # the test run's own shape checks would be faster
    with pytest.raises(ShapeError, match="value needs the same rows"):
        unchecked(ops, np.ones((4, 1)), ones, ones, ones)
    with pytest.raises(ShapeError, match=r"discount or log_ratio \(3, 1\)"):
        unchecked(ops, np.ones((4, 2)), ones, ones, ones[:, :1])
