"""The mlp policy: shapes, first weights, every space, normalisation, one source for every engine."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from pydantic import ValidationError

from puffer_core.arrays import named_leaves
from puffer_core.contracts.policy import Policy, PolicyInterface
from puffer_core.distributions import action_distribution
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_policies import Mlp, MlpConfig
from puffer_policies.encoders.vector import encode, feature_count
from puffer_policies.initialisation import orthogonal

STEPS, ROWS = 3, 5
NESTED = Dict(
    image=Box(0, 255, (3, 2), np.uint8),
    body=Dict(speed=Box(-1, 1, (2,)), gear=Discrete(3, start=-1)),
    bits=Tuple([MultiBinary(3), Box(-9, 9, (), np.float64)]),
)
OBSERVATIONS = [
    *(Box(-1, 1, (4,)), Box(0, 255, (3, 2), np.uint8), Discrete(4), MultiDiscrete([2, 3]), MultiBinary(3)),
    NESTED,
]
ACTIONS = [
    *(Box(-2, 2, (2,)), Discrete(3), MultiDiscrete([2, 3]), MultiBinary(4)),
    Dict(move=Discrete(3), force=Box(-1, 1, (2,)), arm=Tuple([Box(0, 1, ()), MultiBinary(2)])),
]


def build(observation=OBSERVATIONS[0], action=ACTIONS[1], outputs=frozenset({"value"}), **config) -> Mlp:
    interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action), outputs=outputs)
    return Mlp(MlpConfig(**config), interface)


def observe(space: gymnasium.Space, seed: int = 0):
    """Samples of the space as the policy sees them: rows, split into leaves where it is nested."""
    space.seed(seed)
    layout = Layout.of(space)
    rows = np.zeros((STEPS, ROWS, *layout.shape), layout.dtype)
    for place in np.ndindex(STEPS, ROWS):
        layout.encode(space.sample(), rows[(*place, ...)])
    return layout.split(rows)


def run(policy: Mlp, observation, params=None):
    params = policy.init(np.random.default_rng(0)) if params is None else params
    reset = np.zeros(next(leaf for _, leaf in named_leaves(observation)).shape[:2], bool)
    return policy.apply(numpy_ops, params, {"observation": observation}, (), reset, None)[0]


@pytest.mark.parametrize("observation", OBSERVATIONS, ids=str)
@pytest.mark.parametrize("action", ACTIONS, ids=str)
def test_every_pair_of_spaces_acts(observation, action):
    policy = build(observation, action)
    outputs = run(policy, observe(observation))
    chosen = action_distribution(numpy_ops, policy.interface.action, outputs)
    assert outputs["value"].shape == (STEPS, ROWS)
    modes = dict(named_leaves(chosen.mode()))
    assert {name: mode.shape for name, mode in modes.items()} == {
        leaf.name: (STEPS, ROWS, *leaf.shape) for leaf in policy.interface.action.leaves
    }
    assert chosen.log_prob(chosen.sample(np.random.default_rng(0))).shape == (STEPS, ROWS)
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_is_a_policy():
    assert isinstance(build(), Policy)


def test_a_first_policy_is_close_to_uniform():
    outputs = run(build(), observe(OBSERVATIONS[0]))
    entropy = action_distribution(numpy_ops, Layout.of(ACTIONS[1]), outputs).entropy()
    assert entropy == pytest.approx(math.log(3), abs=1e-3)


def test_the_same_generator_gives_the_same_weights():
    policy = build()
    first, second, other = (policy.init(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_parameters_are_sorted_and_float32():
    params = build(normalize_observation=True).init(np.random.default_rng(0))
    assert list(params) == sorted(params)
    assert {value.dtype for value in params.values()} == {np.dtype(np.float32)}


def test_a_shared_trunk_has_one_network():
    names = set(build(shared=True).init(np.random.default_rng(0)))
    assert any(name.startswith("trunk.") for name in names)
    assert not any(name.startswith(("actor.0", "critic.0")) for name in names)
    assert run(build(shared=True), observe(OBSERVATIONS[0]))["value"].shape == (STEPS, ROWS)


def test_without_a_value_there_is_no_critic():
    policy = build(outputs=frozenset())
    assert not any(name.startswith("critic") for name in policy.init(np.random.default_rng(0)))
    assert set(run(policy, observe(OBSERVATIONS[0]))) == {"logits"}


def test_rows_do_not_influence_one_another():
    policy, observation = build(), observe(OBSERVATIONS[0])
    together = run(policy, observation)["logits"]
    alone = run(policy, observation[:, 2:3])["logits"]
    np.testing.assert_allclose(together[:, 2:3], alone, rtol=1e-5, atol=1e-7)


def test_log_std_does_not_depend_on_the_observation():
    outputs = run(build(action=ACTIONS[0], initial_log_std=-0.5), observe(OBSERVATIONS[0]))
    assert (outputs["log_std"] == np.float32(-0.5)).all()
    assert outputs["log_std"].shape == outputs["mean"].shape


def test_normalisation_uses_the_statistics_that_are_kept_with_the_policy():
    policy = build(normalize_observation=True)
    observation = observe(OBSERVATIONS[0]) * 3 + 7
    params = policy.init(np.random.default_rng(0))
    weight = np.ones((STEPS, ROWS), np.float32)
    seen = policy.update_stats(numpy_ops, params, {"observation": observation}, weight)
    np.testing.assert_allclose(seen["stats.observation.mean"], observation.mean(axis=(0, 1)), rtol=1e-5)
    scaled = (observation - observation.mean(axis=(0, 1))) / observation.std(axis=(0, 1))
    plain = {name: value for name, value in params.items() if not name.startswith("stats.")}
    expected = run(build(), scaled.astype(np.float32), plain)["logits"]
    np.testing.assert_allclose(run(policy, observation, seen)["logits"], expected, atol=1e-5)


def test_statistics_ignore_what_has_no_weight():
    policy = build(normalize_observation=True)
    observation, weight = observe(OBSERVATIONS[0]), np.ones((STEPS, ROWS), np.float32)
    observation[1, 2], weight[1, 2] = 1e6, 0.0
    params = policy.update_stats(numpy_ops, policy.init(np.random.default_rng(0)), {"observation": observation}, weight)
    assert abs(params["stats.observation.mean"]).max() < 2


def test_without_normalisation_statistics_stay():
    policy = build()
    params = policy.init(np.random.default_rng(0))
    assert policy.update_stats(numpy_ops, params, {}, np.ones((STEPS, ROWS), np.float32)) is params


def test_unknown_outputs_are_refused():
    with pytest.raises(UnsupportedError, match="q_value"):
        build(outputs=frozenset({"q_value"}))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"hidden_sizes": ()}, {"activation": "swish"}, {"observation_clip": 0.0}, {"depth": 2}),
        *({"initial_log_std": value} for value in (math.nan, math.inf, 3.0)),
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(ValidationError):
        MlpConfig(**wrong)


def test_hidden_sizes_are_positive():
    with pytest.raises(ValidationError):
        MlpConfig(hidden_sizes=(64, 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("space", OBSERVATIONS, ids=str)
def test_features_have_the_announced_length_and_dtype(space, dtype):
    layout = Layout.of(space)
    features = encode(numpy_ops, layout, observe(space), dtype)
    assert features.shape == (STEPS, ROWS, feature_count(layout))
    assert features.dtype == dtype


def test_the_parts_of_a_nested_observation_stand_side_by_side():
    layout, observation = Layout.of(NESTED), observe(NESTED)
    parts = {
        "image": Box(0, 255, (3, 2), np.uint8),
        "body.speed": Box(-1, 1, (2,)),
        "body.gear": Discrete(3),
        "bits.0": MultiBinary(3),
        "bits.1": Box(-9, 9, (), np.float64),
    }
    assert layout.names == tuple(parts)
    alone = [encode(numpy_ops, Layout.of(part), observation[name], np.float32) for name, part in parts.items()]
    np.testing.assert_array_equal(encode(numpy_ops, layout, observation, np.float32), np.concatenate(alone, axis=2))


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (Box(0, 255, (2,), np.uint8), [0, 255], [0, 1]),
        (Box(-5, 5, (2,), np.int64), [-5, 0], [0, 0.5]),
        (Box(0, 2**16, (2,), np.int64), [3, 70], [3, 70]),
        (Box(np.array([0, 0]), np.array([4, 0]), dtype=np.int32), [1, 0], [0.25, 0]),
        (Box(0, 255, (2,), np.float32), [0, 255], [0, 255]),
        (Box(0, 1, (2,), np.bool_), [False, True], [0, 1]),
    ],
    ids=str,
)
def test_integers_are_scaled_from_their_bounds(space, value, expected):
    features = encode(numpy_ops, Layout.of(space), np.array([[value]], space.dtype), np.float32)
    np.testing.assert_allclose(features[0, 0], expected, rtol=1e-6)


def test_choices_become_one_hot():
    layout = Layout.of(MultiDiscrete([2, 3]))
    features = encode(numpy_ops, layout, np.array([[[1, 2]]]), np.float32)
    assert features.tolist() == [[[0, 1, 0, 0, 1]]]


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 64), (64, 4), (8, 8), (1, 1)])
def test_orthogonal_weights(inputs, outputs):
    matrix = orthogonal(np.random.default_rng(0), inputs, outputs, gain=2.0).astype(np.float64) / 2
    small = matrix.T @ matrix if inputs >= outputs else matrix @ matrix.T
    np.testing.assert_allclose(small, np.eye(min(inputs, outputs)), atol=1e-6)
