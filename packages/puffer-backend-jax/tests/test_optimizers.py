"""Rules against torch's and Optax's own, in float64; state that goes from one engine to the other."""

import jax
import numpy as np
import optax
import pytest

from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig
from puffer_core.contracts.backend import OptimizerConfig

torch = pytest.importorskip("torch", reason="the engine to compare with")

RULES = {
    "adam": (OptimizerConfig(epsilon=1e-5), lambda p: torch.optim.Adam(p, 0.01, eps=1e-5)),
    "adamw": (
        OptimizerConfig(name="adamw", weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    ),
    "sgd": (OptimizerConfig(name="sgd"), lambda p: torch.optim.SGD(p, 0.01)),
    "momentum": (OptimizerConfig(name="sgd", momentum=0.9), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)),
}


@pytest.fixture(scope="module")
def backend():
    return JaxBackend(JaxConfig(device="cpu", cache=False))


@pytest.mark.parametrize(("config", "reference"), RULES.values(), ids=RULES)
def test_steps_as_torch_does(backend, config, reference):
    expected = torch.nn.Parameter(torch.ones(4, 3, dtype=torch.float64))
    theirs, ours = reference([expected]), backend.optimizer(config)
    step = backend.compile(lambda ops, *given: ours.apply(*given), consumes=(0, 1, 2))
    params = backend.to_device({"w": np.ones((4, 3))})
    state = ours.init(params)
    generator = np.random.default_rng(0)
    for _ in range(50):
        gradient = generator.standard_normal((4, 3))
        expected.grad = torch.tensor(gradient)
        theirs.step()
        params, state = step(params, backend.to_device({"w": gradient}), state, 0.01)
    np.testing.assert_allclose(backend.to_numpy(params["w"]), expected.detach().numpy(), rtol=0, atol=1e-12)


def test_the_step_count_keeps_64_bits(backend):
    adam = backend.optimizer(OptimizerConfig())
    state = adam.init(backend.to_device({"w": np.ones(2, np.float32)}))
    assert state["adam.step"].dtype == np.int64
    assert all(isinstance(x, jax.Array) for x in state.values())


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_nothing_to_learn_changes_nothing(backend, name):
    optimizer = backend.optimizer(OptimizerConfig(name=name))
    params = backend.to_device({"stats.count": np.ones((), np.float32)})
    assert optimizer.apply(params, {}, optimizer.init(params), 0.1)[0] == params


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        (OptimizerConfig(epsilon=1e-5), optax.adam(0.01, eps=1e-5)),
        (OptimizerConfig(name="adamw", weight_decay=0.1), optax.adamw(0.01, weight_decay=0.1)),
        (OptimizerConfig(name="sgd", momentum=0.9), optax.sgd(0.01, momentum=0.9)),
    ],
    ids=["adam", "adamw", "momentum"],
)
def test_steps_as_optax_does(backend, config, reference):
    ours, gradient = backend.optimizer(config), {"w": np.linspace(-1, 1, 12).reshape(4, 3)}
    step = backend.compile(lambda ops, *given: ours.apply(*given))
    params = backend.to_device({"w": np.ones((4, 3))})
    state = ours.init(params)
    with jax.enable_x64(new_val=True):
        expected = {"w": jax.numpy.ones((4, 3))}
        theirs = reference.init(expected)
        for _ in range(20):
            params, state = step(params, gradient, state, 0.01)
            moved, theirs = reference.update(gradient, theirs, expected)
            expected = optax.apply_updates(expected, moved)
    np.testing.assert_allclose(backend.to_numpy(params["w"]), expected["w"], rtol=0, atol=1e-12)
