"""Encoders, layers and memories together: one source that acts step by step and learns from whole segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple
from pydantic import ValidationError

from puffer_core.arrays import is_trainable, map_tree, named_leaves
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import NumpyBackend, numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_policies import CnnConfig, Composite, GruConfig, LstmConfig, MinGruConfig

STEPS, ROWS = 9, 4
IMAGE = Box(0, 255, (7, 8, 3), np.uint8)
NESTED = Dict(
    camera=Dict(front=IMAGE, back=Box(0, 1, (2, 6, 6), np.float32)),
    body=Tuple([Box(-1, 1, (2,)), Discrete(3)]),
    bits=MultiBinary(2),
)
ACTION = Dict(move=Discrete(3), force=Box(-1, 1, (2,)))
RECURRENT = [
    LstmConfig(hidden_size=5, layer_sizes=(6,)),
    GruConfig(hidden_size=5, layer_sizes=()),
    MinGruConfig(hidden_size=6, layer_sizes=(6,)),
    MinGruConfig(hidden_size=5, layer_sizes=(6,), depth=3, encoder="impala", activation="tanh"),
    LstmConfig(hidden_size=5, encoder="vector", normalize_observation=True),
]
EVERY = [*RECURRENT, CnnConfig(layer_sizes=(8,)), CnnConfig(layer_sizes=(), encoder="impala")]


def build(config: Any, observation: Any = NESTED, action: Any = ACTION) -> Composite:
    return Composite(config, PolicyInterface(observation=Layout.of(observation), action=Layout.of(action)))


def name_of(config: Any) -> str:
    return f"{config.policy}-{config.encoder}"


def observe(space: Any, seed: int = 0, steps: int = STEPS, rows: int = ROWS) -> Any:
    space.seed(seed)
    layout = Layout.of(space)
    array = np.zeros((steps, rows, *layout.shape), layout.dtype)
    for place in np.ndindex(steps, rows):
        layout.encode(space.sample(), array[(*place, ...)])
    return layout.split(array)


def double(params: Any) -> Any:
    return {name: value.astype(np.float64) for name, value in params.items()}


def numpy_backend() -> Any:
    return NumpyBackend()


def torch_backend() -> Any:
    pytest.importorskip("puffer_backend_torch")
    from puffer_backend_torch.backend import TorchBackend
    from puffer_backend_torch.config import TorchConfig

    return TorchBackend(TorchConfig(device="cpu", threads=1))


def run(backend: Any, policy: Composite, params: Any, observation: Any, carry: Any, reset: np.ndarray) -> Any:
    given = map_tree(np.array, (params, {"observation": observation}, carry, reset))
    return backend.to_numpy(backend.compile(policy.apply)(*backend.to_device(given), None))


@pytest.mark.parametrize("make", [numpy_backend, torch_backend])
@pytest.mark.parametrize("config", RECURRENT, ids=name_of)
def test_stepping_equals_unrolling_with_resets(config, make):
    backend, policy = make(), build(config)
    params, observation = double(policy.init(np.random.default_rng(0))), observe(NESTED)
    reset = np.random.default_rng(1).random((STEPS, ROWS)) < 0.3
    reset[1:3] = False
    begin = map_tree(lambda x: np.random.default_rng(2).normal(size=x.shape), policy.initial_carry(ROWS))
    whole, end = run(backend, policy, params, observation, begin, reset)
    carry = begin
    for t in range(STEPS):
        one = map_tree(lambda x, t=t: x[t : t + 1], observation)
        outputs, carry = run(backend, policy, params, one, carry, reset[t : t + 1])
        for name, value in outputs.items():
            np.testing.assert_allclose(value[0], whole[name][t], rtol=0, atol=1e-10, err_msg=f"{name} at {t}")
    map_tree(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-10), carry, end)


@pytest.mark.parametrize("config", RECURRENT, ids=name_of)
def test_what_was_before_a_reset_changes_nothing_after_it(config):
    policy = build(config)
    params, observation = policy.init(np.random.default_rng(0)), observe(NESTED)
    reset = np.zeros((STEPS, ROWS), bool)
    reset[4, 1] = True
    changed = map_tree(np.array, observation)
    other = observe(NESTED, seed=9)
    for name, leaf in changed.items():
        leaf[:4, 1] = other[name][:4, 1]
    carry = policy.initial_carry(ROWS)
    first = run(numpy_backend(), policy, params, observation, carry, reset)
    second = run(numpy_backend(), policy, params, changed, carry, reset)
    for name, value in first[0].items():
        np.testing.assert_array_equal(value[4:], second[0][name][4:], err_msg=name)
        np.testing.assert_array_equal(value[:, [0, 2, 3]], second[0][name][:, [0, 2, 3]], err_msg=name)
    assert (first[0]["value"][:4, 1] != second[0]["value"][:4, 1]).all()
    map_tree(np.testing.assert_array_equal, first[1], second[1])


@pytest.mark.parametrize("config", RECURRENT, ids=name_of)
def test_it_remembers(config):
    policy = build(config)
    params, observation = policy.init(np.random.default_rng(0)), observe(NESTED)
    changed = map_tree(np.array, observation)
    changed["body.0"][0] *= -1.0
    reset, carry = np.zeros((STEPS, ROWS), bool), policy.initial_carry(ROWS)
    values = [run(numpy_backend(), policy, params, x, carry, reset)[0]["value"][2:] for x in (observation, changed)]
    assert (values[0] != values[1]).any(axis=0).all()


@pytest.mark.parametrize("config", EVERY, ids=name_of)
def test_gradients_reach_every_parameter(config):
    backend, policy = torch_backend(), build(config)
    params, observation = double(policy.init(np.random.default_rng(0))), observe(NESTED)
    reset = np.zeros((STEPS, ROWS), bool)
    reset[[3, 6], [0, 2]] = True

    def loss(ops, params, observation, carry):
        outputs, _ = policy.apply(ops, params, {"observation": observation}, carry, backend.to_device(reset), None)
        return sum(ops.sum(ops.square(outputs[name] + 0.3)) for name in sorted(outputs)), {}

    step = backend.compile(lambda ops, *given: ops.value_and_grad(lambda *args: loss(ops, *args))(*given))
    carry = policy.initial_carry(ROWS)
    _, gradients = backend.to_numpy(step(*backend.to_device(map_tree(np.array, (params, observation, carry)))))
    assert set(gradients) == {name for name in params if is_trainable(name)}
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all()
        assert (gradient != 0.0).any(), name


@pytest.mark.parametrize("encoder", ["small", "impala", "vector"])
def test_pixels_are_scaled_inside(encoder):
    config = CnnConfig(encoder=encoder, layer_sizes=(4,))
    pixels = observe(IMAGE)
    params = build(config, IMAGE).init(np.random.default_rng(0))
    reset = np.zeros((STEPS, ROWS), bool)
    whole = Box(0, 1, IMAGE.shape, np.float32)
    found = run(numpy_backend(), build(config, IMAGE), params, pixels, (), reset)[0]["value"]
    expected = run(numpy_backend(), build(config, whole), params, pixels.astype(np.float32) / 255, (), reset)[0][
        "value"
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_channels_may_stand_first():
    last, first = Box(0, 255, (7, 8, 3), np.uint8), Box(0, 255, (3, 7, 8), np.uint8)
    pixels, reset = observe(last), np.zeros((STEPS, ROWS), bool)
    params = build(CnnConfig(), last).init(np.random.default_rng(0))
    one = run(numpy_backend(), build(CnnConfig(), last), params, pixels, (), reset)[0]["value"]
    other = run(numpy_backend(), build(CnnConfig(), first), params, pixels.transpose(0, 1, 4, 2, 3), (), reset)[0]
    np.testing.assert_allclose(one, other["value"], rtol=1e-5, atol=1e-6)


def test_every_image_has_an_encoder_of_its_own_and_the_rest_is_one_vector():
    policy = build(MinGruConfig(normalize_observation=True))
    params = policy.init(np.random.default_rng(0))
    encoders = {name.rsplit(".", 2)[0] for name in params if name.startswith("encoder.")}
    assert encoders == {"encoder.camera.front", "encoder.camera.back"}
    assert params["stats.observation.mean"].shape == (2 + 3 + 2,)
    assert params["core.input.weight"].shape == (1 * 1 * 64 + 1 * 1 * 64 + 7, 128)


def test_statistics_of_the_vector_scale_it_and_leave_images_alone():
    policy = build(GruConfig(normalize_observation=True))
    params, observation = policy.init(np.random.default_rng(0)), observe(NESTED)
    weight = np.ones((STEPS, ROWS), np.float32)
    seen = policy.update_stats(numpy_ops, params, {"observation": observation}, weight)
    np.testing.assert_allclose(seen["stats.observation.mean"][-2:], observation["bits"].mean((0, 1)), rtol=1e-5)
    only_image = build(GruConfig(normalize_observation=True), IMAGE)
    assert not any(name.startswith("stats.") for name in only_image.init(np.random.default_rng(0)))


@pytest.mark.parametrize(("edge", "layers"), [(84, 3), (36, 3), (35, 3)])
def test_nature_reads_large_images_and_small_ones_have_an_encoder_too(edge, layers):
    policy = build(CnnConfig(), Box(0, 255, (edge, edge, 4), np.uint8))
    params = policy.init(np.random.default_rng(0))
    assert params["encoder.0.weight"].shape == ((8, 8, 4, 32) if edge >= 36 else (3, 3, 4, 32))
    assert sum(name.startswith("encoder.") for name in params) == 2 * layers


def test_an_image_that_nature_does_not_fit_is_refused():
    with pytest.raises(UnsupportedError, match=r"7 x 8 pixels") as refused:
        build(CnnConfig(encoder="nature"), IMAGE)
    assert "impala" in str(refused.value.remedy)


def test_an_image_encoder_without_an_image_is_refused():
    with pytest.raises(UnsupportedError, match="boxes of three axes"):
        build(LstmConfig(encoder="impala"), Box(-1, 1, (4,)))


@pytest.mark.parametrize("wrong", [{"encoder": "resnet"}, {"hidden_size": 0}, {"layer_sizes": (0,)}, {"depth": 2}])
def test_options_are_checked(wrong):
    with pytest.raises(ValidationError):
        LstmConfig(**wrong)


def test_parameters_are_sorted_float32_and_drawn_by_the_generator():
    policy = build(MinGruConfig(hidden_size=5))
    first, second = (policy.init(np.random.default_rng(1)) for _ in range(2))
    assert list(first) == sorted(first)
    assert {value.dtype for value in first.values()} == {np.dtype(np.float32)}
    map_tree(np.testing.assert_array_equal, first, second)
    assert all(leaf.shape == (3, 5) for _, leaf in named_leaves(policy.initial_carry(3)))
