"""The loss against numbers worked by hand; `test_parity` compares engines and gradients."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

from puffer_core.contracts.policy import PolicyInterface
from puffer_core.numpy_backend import numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_ppo.config import PpoConfig
from puffer_ppo.loss import diagnose, normalize, ppo_loss, surrogate, value_error


class TwoNumbers:
    """A policy that is its parameters: the same two logits and the same value everywhere."""

    def __init__(self) -> None:
        box, choice = gymnasium.spaces.Box(-1, 1, (1,)), gymnasium.spaces.Discrete(2)
        self.interface = PolicyInterface(observation=Layout.of(box), action=Layout.of(choice))
        self.inputs = frozenset({"observation"})

    def init(self, rng):
        return params()

    def initial_carry(self, rows):
        return ()

    def update_stats(self, ops, params, inputs, weight):
        return params

    def apply(self, ops, params, inputs, carry, reset, rng):
        x = inputs["observation"]
        logits = params["logits"] + 0.0 * x
        return {"logits": logits, "value": params["value"] + 0.0 * x[:, :, 0]}, carry


def batch(size: int = 4, dtype: type = np.float64, **changes):
    base = {
        "inputs": {"observation": np.zeros((1, size, 1), dtype)},
        "reset": np.zeros((1, size), bool),
        "action": np.zeros((1, size), np.int64),
        "log_prob": np.full((1, size), math.log(0.5), dtype),
        "value": np.zeros((1, size), dtype),
        "advantage": np.ones((1, size), dtype),
        "target": np.ones((1, size), dtype),
        "weight": np.ones((1, size), dtype),
    }
    return base | changes


def params(p: float = 0.5, value: float = 0.0):
    return {"logits": np.log(np.array([p, 1 - p])), "value": np.array(value)}


def loss(parameters, transitions, **config):
    """The loss, and the terms that are watched."""
    chosen = {"policy": TwoNumbers(), "config": PpoConfig(**config)}
    value, _ = ppo_loss(numpy_ops, parameters, transitions, (), **chosen)
    terms = diagnose(numpy_ops, parameters, transitions, (), **chosen)
    return float(value), {name: float(term) for name, term in terms.items()}


def test_an_unchanged_policy_gains_the_mean_advantage():
    total, terms = loss(params(), batch(advantage=np.array([[1.0, 2.0, 3.0, -2.0]])), value_coefficient=0.5)
    assert terms["loss/policy"] == pytest.approx(-1.0)
    assert terms["loss/value"] == pytest.approx(0.5)
    assert total == pytest.approx(-1.0 + 0.5 * 0.5)
    assert terms["policy/kl"] == pytest.approx(0.0)
    assert terms["policy/entropy"] == pytest.approx(math.log(2))


def test_a_ratio_beyond_the_clip_gains_no_more():
    _, terms = loss(params(p=0.9), batch(), clip=0.2)  # ratio 1.8
    assert terms["loss/policy"] == pytest.approx(-1.2)
    assert terms["policy/clip_fraction"] == 1.0
    assert terms["policy/kl"] == pytest.approx(0.8 - math.log(1.8))


def test_a_bad_action_made_likelier_costs_in_full():
    _, terms = loss(params(p=0.9), batch(advantage=-np.ones((1, 4))), clip=0.2)
    assert terms["loss/policy"] == pytest.approx(1.8)


def test_entropy_lowers_the_loss_by_its_coefficient():
    without, _ = loss(params(), batch())
    with_bonus, _ = loss(params(), batch(), entropy_coefficient=0.1)
    assert with_bonus == pytest.approx(without - 0.1 * math.log(2))


def test_transitions_without_weight_change_nothing():
    weight = np.array([[2.0, 2.0, 0.0, 0.0]])
    advantage = np.array([[1.0, 3.0, 1e6, -1e6]])
    _, terms = loss(params(), batch(weight=weight, advantage=advantage))
    assert terms["loss/policy"] == pytest.approx(-2.0)


def test_value_clip_takes_the_larger_error():
    value, old, target = (np.array([[x]]) for x in (2.0, 0.0, 1.0))
    assert value_error(numpy_ops, value, old, target, clip=None) == pytest.approx(1.0)
    assert value_error(numpy_ops, value, old, target, clip=0.2) == pytest.approx(1.0)
    assert value_error(numpy_ops, value, old, np.array([[2.0]]), clip=0.2) == pytest.approx(1.8**2)


def test_surrogate_is_the_minimum_of_clipped_and_unclipped_gain():
    rng = np.random.default_rng(0)
    ratio, advantage = np.exp(rng.normal(size=(1, 1000))), rng.normal(size=(1, 1000))
    expected = np.minimum(ratio * advantage, np.clip(ratio, 0.7, 1.3) * advantage)
    np.testing.assert_allclose(surrogate(numpy_ops, ratio, advantage, clip=0.3), expected, atol=1e-12)


def test_surrogate_never_exceeds_the_unclipped_gain():
    rng = np.random.default_rng(0)
    ratio, advantage = np.exp(rng.normal(size=(1, 1000))), rng.normal(size=(1, 1000))
    assert (surrogate(numpy_ops, ratio, advantage, clip=0.2) <= ratio * advantage + 1e-12).all()


def test_normalize_ignores_what_is_not_active():
    x = np.array([[1.0, 3.0, 1e9]])
    out = normalize(numpy_ops, x, np.array([[True, True, False]]))
    assert out[0, :2] == pytest.approx([-1.0, 1.0], abs=1e-6)
