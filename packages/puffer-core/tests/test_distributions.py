"""Distributions against numbers worked by hand, their own samples, and what masks promise."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from puffer_core.distributions import Joint, action_distribution, head_sizes, is_parameter, to_env
from puffer_core.distributions.families import Distribution
from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.numpy_backend import numpy_ops as ops
from puffer_core.spaces.layout import Layout

F32 = np.float32
Array = np.ndarray

SPACES = [
    spaces.Discrete(3),
    spaces.MultiDiscrete([2, 4, 3]),
    spaces.MultiDiscrete(np.array([[2, 2], [2, 2]])),
    spaces.MultiBinary(3),
    spaces.MultiBinary((2, 2)),
    spaces.Box(-1, 1, (2,)),
    spaces.Box(-1, 1, (2, 2)),
    spaces.Box(-1, 1, ()),
]


def distribution(space: gymnasium.Space[Any], outputs: dict[str, Array], mask: Array | None = None) -> Distribution:
    return action_distribution(ops, Layout.of(space), outputs, mask)


def outputs_for(space: gymnasium.Space[Any], lead: tuple[int, ...], seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    names = {**head_sizes(Layout.of(space))}
    if "mean" in names:
        names["log_std"] = names["mean"]
    return {name: generator.standard_normal((*lead, size)).astype(F32) for name, size in names.items()}


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Discrete(3, start=5), {"logits": 3}),
        (spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])), {"logits": 14}),
        (spaces.MultiBinary((2, 3)), {"logits": 6}),
        (spaces.Box(0, 1, (2, 3)), {"mean": 6}),
        (spaces.Box(0, 1, ()), {"mean": 1}),
    ],
    ids=str,
)
def test_head_sizes(space: gymnasium.Space[Any], expected: dict[str, int]) -> None:
    assert head_sizes(Layout.of(space)) == expected


@pytest.mark.parametrize("lead", [(1, 8), (5, 2), (3,), ()])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_shapes_and_dtypes(space: gymnasium.Space[Any], lead: tuple[int, ...]) -> None:
    layout = Layout.of(space)
    dist = distribution(space, outputs_for(space, lead))
    dtype = F32 if isinstance(space, spaces.Box) else np.int64
    for action in (dist.sample(np.random.default_rng(0)), dist.mode()):
        assert action.shape == (*lead, *layout.shape)
        assert action.dtype == dtype
        assert dist.log_prob(action).shape == lead
        assert dist.log_prob(action).dtype == F32
    assert dist.entropy().shape == lead
    assert dist.entropy().dtype == F32


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_samples_average_to_the_entropy(space: gymnasium.Space[Any]) -> None:
    """E[-log p(x)] is the entropy: samples, log-probabilities and entropy must agree for that."""
    outputs = {name: np.broadcast_to(x, (1, 40_000, x.shape[-1])) for name, x in outputs_for(space, (1, 1), 3).items()}
    dist = distribution(space, outputs)
    surprise = -dist.log_prob(dist.sample(np.random.default_rng(1)))
    np.testing.assert_allclose(surprise.mean(), dist.entropy()[0, 0], atol=0.03)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_mode_is_likeliest(space: gymnasium.Space[Any]) -> None:
    outputs = {name: np.broadcast_to(x, (1, 500, x.shape[-1])) for name, x in outputs_for(space, (1, 1), 4).items()}
    dist = distribution(space, outputs)
    assert (dist.log_prob(dist.mode()) >= dist.log_prob(dist.sample(np.random.default_rng(2)))).all()


def test_multi_discrete_is_several_choices() -> None:
    logits = np.log([[0.5, 0.5, 0.2, 0.3, 0.5]])
    dist = distribution(spaces.MultiDiscrete([2, 3]), {"logits": logits})
    np.testing.assert_allclose(dist.log_prob(np.array([[1, 0]])), [math.log(0.5 * 0.2)])
    entropy = -2 * 0.5 * math.log(0.5) - 0.2 * math.log(0.2) - 0.3 * math.log(0.3) - 0.5 * math.log(0.5)
    np.testing.assert_allclose(dist.entropy(), [entropy])


def test_multi_binary_is_several_coins() -> None:
    logits = np.log([[0.2 / 0.8, 0.7 / 0.3]])
    dist = distribution(spaces.MultiBinary(2), {"logits": logits})
    np.testing.assert_allclose(dist.log_prob(np.array([[1, 0]])), [math.log(0.2 * 0.3)])
    entropy = -sum(p * math.log(p) for p in (0.2, 0.8, 0.7, 0.3))
    np.testing.assert_allclose(dist.entropy(), [entropy])


def test_gaussian_by_hand() -> None:
    dist = distribution(spaces.Box(-1, 1, (2,)), {"mean": np.array([[1.0, 0.0]]), "log_std": np.log([[2.0, 0.5]])})
    density = [math.exp(-0.5) / (2.0 * math.sqrt(2 * math.pi)), math.exp(-2.0) / (0.5 * math.sqrt(2 * math.pi))]
    np.testing.assert_allclose(dist.log_prob(np.array([[3.0, 1.0]])), [math.log(density[0] * density[1])])
    np.testing.assert_allclose(dist.entropy(), [math.log(2 * math.pi * math.e) + math.log(2.0 * 0.5)])


def test_log_std_may_broadcast() -> None:
    mean, log_std = np.zeros((4, 3, 2)), np.array([0.5, -0.5])
    whole = distribution(spaces.Box(-1, 1, (2,)), {"mean": mean, "log_std": np.broadcast_to(log_std, mean.shape)})
    short = distribution(spaces.Box(-1, 1, (2,)), {"mean": mean, "log_std": log_std})
    action = np.ones((4, 3, 2))
    np.testing.assert_allclose(short.log_prob(action), whole.log_prob(action))
    np.testing.assert_allclose(short.entropy(), whole.entropy())


# --- masks


@settings(deadline=None)
@given(st.data())
def test_masked_choice_is_never_taken_and_weighs_nothing(data: st.DataObject) -> None:
    logits = np.array([data.draw(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=4, max_size=4))], F32)
    mask = np.array([data.draw(st.lists(st.booleans(), min_size=4, max_size=4).filter(any))])
    many = {"logits": np.broadcast_to(logits, (200, 4))}
    dist = distribution(spaces.Discrete(4), many, np.broadcast_to(mask, (200, 4)))
    assert mask[0, dist.sample(np.random.default_rng(0))].all()
    assert mask[0, dist.mode()].all()
    only_valid = distribution(spaces.Discrete(int(mask.sum())), {"logits": logits[mask][None]})
    np.testing.assert_allclose(dist.entropy()[0], only_valid.entropy()[0], rtol=1e-5, atol=1e-6)
    for place, action in enumerate(np.flatnonzero(mask)):
        got, expected = dist.log_prob(np.full(200, action))[0], only_valid.log_prob(np.array([place]))[0]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    for action in np.flatnonzero(~mask[0]):
        assert np.exp(dist.log_prob(np.full(200, action))).max() == 0.0


class FixedNoise:
    """The engine's ops, whose uniform noise is as low or as high as it can be."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __getattr__(self, name: str) -> Any:
        return getattr(ops, name)

    def uniform(self, rng: Any, shape: tuple[int, ...]) -> Array:
        return np.full(shape, self.value, F32)


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
def test_extreme_noise_keeps_to_valid_choices(noise: float) -> None:
    mask = np.array([[False, False, True]])
    engine: Any = FixedNoise(noise)
    logits = np.array([[9.0, 9.0, -90.0]], F32)
    choice = action_distribution(engine, Layout.of(spaces.Discrete(3)), {"logits": logits}, mask)
    assert choice.sample(None).tolist() == [2]
    mask = np.array([[True, False, False, True, True, False]])
    bits = action_distribution(engine, Layout.of(spaces.MultiBinary(3)), {"logits": logits}, mask)
    assert bits.sample(None).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)], ids=str)
def test_row_without_a_valid_choice_gives_numbers(space: gymnasium.Space[Any]) -> None:
    layout = Layout.of(space)
    dist = distribution(space, outputs_for(space, (1, 2)), np.zeros((1, 2, layout.mask_size), bool))
    action = dist.sample(np.random.default_rng(0))
    assert np.isfinite(dist.log_prob(action)).all()
    assert np.isfinite(dist.entropy()).all()


def test_multi_discrete_masks_each_choice() -> None:
    mask = np.array([[True, False, False, True, True]])
    dist = distribution(spaces.MultiDiscrete([2, 3]), {"logits": np.zeros((1, 5), F32)}, mask)
    np.testing.assert_allclose(dist.entropy(), [math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(dist.log_prob(np.array([[0, 2]])), [-math.log(2)], rtol=1e-6)
    many = distribution(spaces.MultiDiscrete([2, 3]), {"logits": np.zeros((300, 5), F32)}, np.repeat(mask, 300, axis=0))
    sampled = many.sample(np.random.default_rng(0))
    assert set(sampled[:, 0]) == {0}
    assert set(sampled[:, 1]) == {1, 2}


def test_multi_binary_masks_either_value_of_a_bit() -> None:
    mask = np.array([[True, False, False, True, True, True]])
    logits = np.repeat(np.array([[5.0, -5.0, 0.0]], F32), 300, axis=0)
    dist = distribution(spaces.MultiBinary(3), {"logits": logits}, np.repeat(mask, 300, axis=0))
    sampled = dist.sample(np.random.default_rng(0))
    assert [sorted(set(bits)) for bits in sampled.T.tolist()] == [[0], [1], [0, 1]]
    np.testing.assert_allclose(dist.entropy(), math.log(2), rtol=1e-6)
    np.testing.assert_allclose(dist.log_prob(sampled), -math.log(2), rtol=1e-6)


def test_mask_for_a_box_is_refused() -> None:
    space = spaces.Box(-1, 1, (2,))
    with pytest.raises(UnsupportedError, match="Box action space"):
        distribution(space, outputs_for(space, (1,)), np.ones((1, 2), bool))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"value": np.zeros((1, 1))}, "this action space needs 'logits' of length 3"),
        ({"logits": np.zeros((1, 4))}, "logits has 4 entries a row; this action space needs 3"),
    ],
)
def test_outputs_that_do_not_fit_are_named(outputs: dict[str, Array], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        distribution(spaces.Discrete(3), outputs)


def test_mask_that_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError, match="the action mask has 2 entries a row"):
        distribution(spaces.Discrete(3), {"logits": np.zeros((1, 3))}, np.ones((1, 2), bool))


# --- to the env


def test_choices_count_from_start() -> None:
    got = to_env(ops, Layout.of(spaces.Discrete(3, start=-1)), np.array([0, 2]))
    assert got.tolist() == [-1, 1]
    space = spaces.MultiDiscrete(np.array([[2, 3], [2, 2]]), start=np.array([[10, 0], [0, -5]]))
    got = to_env(ops, Layout.of(space), np.array([[[0, 2], [1, 1]]]))
    assert got.tolist() == [[[10, 2], [1, -4]]]


def test_box_is_scaled_where_bounded_and_clipped_elsewhere() -> None:
    low, high = np.array([-2.0, 0.0, -np.inf, -np.inf], F32), np.array([2.0, 10.0, 3.0, np.inf], F32)
    layout = Layout.of(spaces.Box(low, high))
    x = np.array([[0.5, -7.0, 50.0, 50.0], [1.0, 1.0, -50.0, -50.0]], F32)
    assert to_env(ops, layout, x).tolist() == [[1.0, 0.0, 3.0, 50.0], [2.0, 10.0, -50.0, -50.0]]


def test_integer_box_is_rounded() -> None:
    layout = Layout.of(spaces.Box(0, 255, (3,), np.uint8))
    got = to_env(ops, layout, np.array([[-1.0, 0.0, 2.0]], F32))
    assert got.tolist() == [[0, 128, 255]]
    assert got.dtype == np.uint8


@settings(deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.floats(2**-10, 1e6, width=32), st.sampled_from([F32, np.float64]))
def test_every_env_action_is_in_the_space(low: float, width: float, dtype: Any) -> None:
    space = spaces.Box(dtype(low), dtype(low) + dtype(width), (4,), dtype)
    got = to_env(ops, Layout.of(space), np.array([[-9.0, -1.0, 1.0, 9.0]], F32))[0]
    assert space.contains(got), f"{got} is not in {space}"


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_samples_reach_the_env_in_its_space(space: gymnasium.Space[Any]) -> None:
    layout = Layout.of(space)
    sampled = distribution(space, outputs_for(space, (1, 5))).sample(np.random.default_rng(0))
    for action in to_env(ops, layout, sampled)[0]:
        assert space.contains(np.asarray(action, layout.dtype))


# --- nested spaces

NESTED = spaces.Dict(
    gear=spaces.Discrete(3, start=-1),
    arm=spaces.Dict(force=spaces.Box(0, 10, (2,)), keys=spaces.MultiDiscrete([2, 3])),
    bits=spaces.Tuple([spaces.MultiBinary(2), spaces.Box(-1, 1, ())]),
)


def nested_outputs(lead: tuple[int, ...], seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    sizes = head_sizes(Layout.of(NESTED))
    sizes |= {name.replace("mean", "log_std"): size for name, size in sizes.items() if name.startswith("mean")}
    return {name: generator.standard_normal((*lead, size)).astype(F32) for name, size in sizes.items()}


def test_every_leaf_has_heads_of_its_own() -> None:
    expected = {"logits.gear": 3, "mean.arm.force": 2, "logits.arm.keys": 5, "logits.bits.0": 2, "mean.bits.1": 1}
    assert head_sizes(Layout.of(NESTED)) == expected
    assert all(is_parameter(name) for name in expected)
    assert not any(map(is_parameter, ("value", "means", "logits_of_something")))


@pytest.mark.parametrize("lead", [(1, 8), (5, 2), ()])
def test_a_joint_is_the_sum_of_its_leaves(lead: tuple[int, ...]) -> None:
    layout, outputs = Layout.of(NESTED), nested_outputs(lead)
    joint = action_distribution(ops, layout, outputs)
    assert isinstance(joint, Joint)
    action = joint.sample(np.random.default_rng(0))
    assert {name: x.shape for name, x in action.items()} == {leaf.name: (*lead, *leaf.shape) for leaf in layout.leaves}
    alone = {
        leaf.name: action_distribution(
            ops,
            Layout.of(space),
            {name.partition(".")[0]: x for name, x in outputs.items() if name.partition(".")[2] == leaf.name},
        )
        for leaf, space in zip(
            layout.leaves,
            (NESTED["gear"], NESTED["arm"]["force"], NESTED["arm"]["keys"], NESTED["bits"][0], NESTED["bits"][1]),
            strict=True,
        )
    }
    expected = sum(part.log_prob(action[name]) for name, part in alone.items())
    np.testing.assert_allclose(joint.log_prob(action), expected, rtol=1e-6)
    np.testing.assert_allclose(joint.entropy(), sum(part.entropy() for part in alone.values()), rtol=1e-6)
    assert all((joint.mode()[name] == part.mode()).all() for name, part in alone.items())
    assert joint.log_prob(action).shape == lead


def test_a_generator_in_the_same_state_draws_the_same_joint_action() -> None:
    joint = action_distribution(ops, Layout.of(NESTED), nested_outputs((1, 50)))
    one, same, other = (joint.sample(np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert (one[name] != other[name]).any()


def test_a_mask_is_cut_into_the_leaves_that_choose() -> None:
    layout = Layout.of(NESTED)
    mask = np.ones((1, 300, layout.mask_size), bool)
    mask[..., 0] = False  # gear
    mask[..., 4] = False  # the second option of the first key
    mask[..., 8] = False  # bit 0 is not 0
    action = action_distribution(ops, layout, nested_outputs((1, 300)), mask).sample(np.random.default_rng(0))
    assert set(action["gear"].ravel().tolist()) == {1, 2}
    assert set(action["arm.keys"][..., 0].ravel().tolist()) == {0}
    assert set(action["arm.keys"][..., 1].ravel().tolist()) == {0, 1, 2}
    assert set(action["bits.0"][..., 0].ravel().tolist()) == {1}
    assert set(action["bits.0"][..., 1].ravel().tolist()) == {0, 1}
    with pytest.raises(ShapeError, match="has 11 entries a row"):
        action_distribution(ops, layout, nested_outputs((1, 300)), mask[..., 1:])


def test_an_element_whose_choices_are_all_masked_keeps_to_its_own_choices() -> None:
    space = spaces.MultiDiscrete([2, 4])
    mask = np.zeros((1, 500, 6), bool)
    mask[..., 2] = True
    outputs = {"logits": np.random.default_rng(0).standard_normal((1, 500, 6)).astype(F32)}
    dist = distribution(space, outputs, mask)
    action = dist.sample(np.random.default_rng(1))
    assert set(action[..., 0].ravel().tolist()) == {0, 1}
    assert set(action[..., 1].ravel().tolist()) == {0}
    np.testing.assert_allclose(dist.log_prob(action), -math.log(2), rtol=1e-6)
    np.testing.assert_allclose(dist.entropy(), math.log(2), rtol=1e-6)


def test_a_nested_action_reaches_the_env_in_its_space() -> None:
    layout = Layout.of(NESTED)
    action = action_distribution(ops, layout, nested_outputs((1, 20))).sample(np.random.default_rng(0))
    rows = layout.join(to_env(ops, layout, action))[0]
    for row in rows:
        assert NESTED.contains(layout.structure(row))
    np.testing.assert_array_equal(layout.split(rows)["gear"], action["gear"][0] - 1)


def test_a_missing_head_of_a_leaf_is_named() -> None:
    outputs = nested_outputs((1, 2))
    del outputs["logits.arm.keys"]
    with pytest.raises(ShapeError, match=r"needs 'logits\.arm\.keys' of length 5"):
        action_distribution(ops, Layout.of(NESTED), outputs)
