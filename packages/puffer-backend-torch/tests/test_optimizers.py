"""Fused optimizers against torch's own, and what they write into."""

import pytest
import torch

from puffer_backend_torch.ops import TorchOps
from puffer_backend_torch.optimizers import Adam, Sgd
from puffer_core.contracts.backend import OptimizerConfig

OPS = TorchOps(torch.device("cpu"))


def _gradient(step, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        (OptimizerConfig(epsilon=1e-5), lambda p: torch.optim.Adam(p, 0.01, eps=1e-5)),
        (OptimizerConfig(name="adamw", weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
        (OptimizerConfig(name="sgd"), lambda p: torch.optim.SGD(p, 0.01)),
        (OptimizerConfig(name="sgd", momentum=0.9), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)),
    ],
    ids=["adam", "adamw", "sgd", "momentum"],
)
def test_steps_as_torch_does(config, reference):
    expected = torch.nn.Parameter(torch.ones(4, 3))
    theirs = reference([expected])
    ours = (Sgd if config.name == "sgd" else Adam)(OPS, config)
    params = {"w": torch.ones(4, 3)}
    state = ours.init(params)
    for step in range(50):
        expected.grad = _gradient(step, (4, 3))
        theirs.step()
        params, state = ours.apply(params, {"w": _gradient(step, (4, 3))}, state, 0.01)
    torch.testing.assert_close(params["w"], expected.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [OptimizerConfig(), OptimizerConfig(name="sgd", momentum=0.5)])
def test_state_and_parameters_are_written_in_place(config):
    optimizer = (Sgd if config.name == "sgd" else Adam)(OPS, config)
    params = {"w": torch.ones(3), "stats.count": torch.ones(())}
    state = optimizer.init(params)
    stepped, moved = optimizer.apply(params, {"w": torch.ones(3)}, state, 0.1)
    assert {name: x.data_ptr() for name, x in stepped.items()} == {name: x.data_ptr() for name, x in params.items()}
    assert {name: x.data_ptr() for name, x in moved.items()} == {name: x.data_ptr() for name, x in state.items()}
    assert stepped["stats.count"] == 1


@pytest.mark.parametrize("config", [OptimizerConfig(), OptimizerConfig(name="sgd", momentum=0.5)])
def test_memory_that_is_not_row_major_gives_the_same_step(config):
    optimizer = (Sgd if config.name == "sgd" else Adam)(OPS, config)
    start, gradient = torch.arange(6.0).reshape(2, 3), _gradient(0, (2, 3))
    plain, _ = optimizer.apply({"w": start.clone()}, {"w": gradient}, optimizer.init({"w": start}), 0.1)
    turned = start.t().contiguous().t()
    other, _ = optimizer.apply({"w": turned}, {"w": gradient.t().contiguous().t()}, optimizer.init({"w": turned}), 0.1)
    assert torch.equal(plain["w"], other["w"])
    assert other["w"].is_contiguous()


def test_adam_takes_its_count_in_any_dtype_and_a_rate_as_an_array():
    adam, w = Adam(OPS, OptimizerConfig()), torch.ones(2)
    state = adam.init({"w": w}) | {"adam.step": torch.tensor(3.0)}
    _, moved = adam.apply({"w": w}, {"w": torch.ones(2)}, state, torch.tensor(0.1))
    assert moved["adam.step"].item() == 4


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_nothing_to_learn_changes_nothing(name):
    optimizer = (Sgd if name == "sgd" else Adam)(OPS, OptimizerConfig(name=name))
    params = {"stats.count": torch.ones(())}
    assert optimizer.apply(params, {}, optimizer.init(params), 0.1)[0] == params
