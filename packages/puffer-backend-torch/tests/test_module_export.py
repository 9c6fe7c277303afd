"""A user's module as an ONNX graph, run by ONNX Runtime beside the module itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import nn

from puffer_backend_torch import ModulePolicy
from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core.arrays import map_tree, named_leaves
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.errors import UnsupportedError, UsageError
from puffer_core.spaces.layout import Layout

IMAGE = Dict(camera=Box(0, 255, (3, 8, 8), np.uint8), pos=Dict(x=Box(-1, 1, (2,), np.float64)))


class Seeing(nn.Module):
    """Convolutions with batch normalisation, beside a vector."""

    def __init__(self, observation_space, action_space):
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 36 + 2, action_space.n + 1)

    def forward(self, observation, action_mask):
        x = torch.cat([self.image(observation["camera"] / 255), observation["pos.x"]], -1)
        y = self.head(x)
        return {"logits": torch.where(action_mask, y[:, 1:], -1e9), "value": y[:, 0]}


class Remembering(nn.Module):
    """Torch's own LSTM over whole sequences, cut at their starts."""

    def __init__(self, observation_space, action_space):
        super().__init__()
        self.memory = nn.LSTM(observation_space.shape[0], 5)
        self.mean = nn.Linear(5, action_space.shape[0])
        self.log_std = nn.Parameter(torch.zeros(action_space.shape[0]))
        self.critic = nn.Linear(5, 1)

    def initial_carry(self, rows):
        return torch.ones(rows, 5), torch.zeros(rows, 5)

    def forward(self, observation, carry):
        h, (hidden, cell) = self.memory(observation[None], tuple(x[None] for x in carry))
        return self.mean(h[0]), self.log_std, self.critic(h[0]), (hidden[0], cell[0])


class Small(nn.Module):
    """As little as there can be, around a part that says what it computes."""

    def __init__(self, observation_space, action_space):
        super().__init__()
        self.part = self.Part()
        self.head = nn.Linear(3, 3)

    class Part(nn.Module):
        def forward(self, x):
            return x

    def forward(self, observation):
        y = self.head(self.part(observation))
        return y[:, 1:], y[:, 0]


def policy_of(net, observation, action) -> ModulePolicy:
    interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action))
    return type("Mine", (ModulePolicy,), {"module": net})({}, interface)


def random_like(rng: np.random.Generator, x: Any, *lead: int) -> np.ndarray:
    shape, dtype = (*lead, *x.shape[1:]), x.dtype
    return (rng.random(shape) < 0.7 if dtype.kind == "b" else 10 * rng.standard_normal(shape)).astype(dtype)


def check(policy: ModulePolicy, opset: int) -> None:
    """The graph gives what the policy gives, for several sizes of a batch, with resets."""
    from puffer_backend_torch.modules.trial import example_inputs

    backend, rng = TorchBackend(TorchConfig(device="cpu")), np.random.default_rng(0)
    params = policy.init(rng)
    for name in filter(lambda name: name.endswith(("running_mean", "running_var")), params):
        params[name] = params[name] + 0.5
    before = torch.random.get_rng_state()
    data = policy.to_onnx(params, opset=opset)
    assert torch.equal(before, torch.random.get_rng_state())
    model = onnx.load_from_string(data)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [opset]
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    ends = {x.name: x.shape[0] for x in (*session.get_inputs(), *session.get_outputs())}
    assert ends == dict.fromkeys(ends, "batch")
    step = backend.compile(policy.apply)
    for rows in (1, 2, 3, 64):
        examples = map_tree(lambda x: x.numpy(), example_inputs(policy.interface, tuple(policy.inputs), 1))
        inputs = map_tree(lambda x, rows=rows: random_like(rng, x, rows), examples)
        carry = map_tree(lambda x: x + random_like(rng, x, len(x)), policy.initial_carry(rows))
        reset = rng.random(rows) < 0.5
        timed = map_tree(lambda x: x[None], inputs)
        outputs, after = backend.to_numpy(step(*backend.to_device((params, timed, carry, reset[None])), None))
        given = {name.replace("/", "."): x for name, x in named_leaves(inputs)}
        given |= {f"carry.{name}": x for name, x in named_leaves(carry)} | ({"reset": reset} if carry else {})
        expected = {name: x[0] for name, x in outputs.items()} | {f"next_carry.{n}": x for n, x in named_leaves(after)}
        names = [x.name for x in session.get_outputs()]
        assert set(names) == set(expected)
        assert {x.name for x in session.get_inputs()} == set(given)
        for name, found in zip(names, session.run(names, given), strict=True):
            np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-5, err_msg=f"{name}, {rows} rows")


def test_convolutions_buffers_masks_and_nested_observations():
    check(policy_of(Seeing, IMAGE, Discrete(4)), 18)


def test_a_memory():
    check(policy_of(Remembering, Box(-1, 1, (3,)), Box(-1, 1, (2,))), 23)


def refused(compute) -> str:
    part = type("Part", (nn.Module,), {"forward": lambda self, x: compute(x)})
    policy = policy_of(type("Odd", (Small,), {"Part": part}), Box(-1, 1, (3,)), Discrete(2))
    with pytest.raises(UnsupportedError) as caught:
        policy.to_onnx(policy.init(np.random.default_rng(0)), opset=18)
    return caught.value.message


def test_an_op_without_an_equal_is_named_with_its_part():
    assert "module Odd cannot be exported: part (Part): ONNX opset 18 has nothing for the op" in refused(
        torch.special.bessel_j0
    )


def test_a_branch_on_values_is_named_with_its_part():
    assert "part (Part), at `" in refused(lambda x: x if x.sum() > 0 else -x)


def test_a_number_of_rows_that_is_built_in_is_refused():
    assert "batch" in refused(lambda x: 2 * x if x.shape[0] == 3 else x)


@pytest.mark.parametrize("opset", [17, 24])
def test_an_opset_that_there_is_not(opset):
    policy = policy_of(Small, Box(-1, 1, (3,)), Discrete(2))
    with pytest.raises(UsageError, match="expected 18 to 23"):
        policy.to_onnx(policy.init(np.random.default_rng(0)), opset=opset)
