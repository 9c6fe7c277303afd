"""Memories against slow definitions, and against torch's own modules with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from puffer_core.numpy_backend import numpy_ops
from puffer_policies.cores.gru import GruCore
from puffer_policies.cores.lstm import LstmCore
from puffer_policies.cores.mingru import MinGruCore
from puffer_policies.encoders.impala import max_pool

STEPS, ROWS, INPUTS, HIDDEN = 11, 3, 4, 5


def given(core):
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=value.shape) for name, value in core.init(rng).items()}
    carry = tuple(rng.normal(size=memory.shape) for memory in core.initial_carry(ROWS))
    return params, rng.normal(size=(STEPS, ROWS, INPUTS)), carry, rng.random((STEPS, ROWS)) < 0.3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("depth", [1, 3])
def test_mingru_is_its_definition(depth):
    core = MinGruCore(INPUTS, HIDDEN, depth)
    params, x, carry, reset = given(core)
    y, after = core.apply(numpy_ops, params, x, carry, reset)
    states = [memory.copy() for memory in carry]
    for t in range(STEPS):
        out = x[t] @ params["core.input.weight"] + params["core.input.bias"]
        for layer in range(depth):
            z, o, c = np.split(out @ params[f"core.{layer}.weight"] + params[f"core.{layer}.bias"], 3, axis=1)
            before = np.where(reset[t, :, None], 0.0, states[layer])
            states[layer] = (1 - sigmoid(z)) * before + sigmoid(z) * c
            out = sigmoid(o) * states[layer] + (1 - sigmoid(o)) * out
        np.testing.assert_allclose(y[t], out, rtol=0, atol=1e-12)
    np.testing.assert_allclose(after, states, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_cells_are_those_of_torch_nn(kind):
    torch = pytest.importorskip("torch")
    core = {"lstm": LstmCore, "gru": GruCore}[kind](INPUTS, HIDDEN)
    params, x, carry, _ = given(core)
    y, after = core.apply(numpy_ops, params, x, carry, np.zeros((STEPS, ROWS), bool))
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](INPUTS, HIDDEN).double()
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.from_numpy(params["core.weight"].T))
        module.weight_hh_l0.copy_(torch.from_numpy(params["core.recurrent"].T))
        module.bias_ih_l0.copy_(torch.from_numpy(params["core.bias"]))
        other = params.get("core.recurrent_bias", np.zeros_like(params["core.bias"]))
        module.bias_hh_l0.copy_(torch.from_numpy(other))
        states = tuple(torch.from_numpy(memory)[None] for memory in carry)
        expected, last = module(torch.from_numpy(x), states if kind == "lstm" else states[0])
    np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=1e-12)
    for mine, theirs in zip(after, last if kind == "lstm" else (last,), strict=True):
        np.testing.assert_allclose(mine, theirs[0].numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 2), (1, 1), (2, 3)])
def test_the_maximum_of_windows_is_torchs(shape):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *shape, 3))
    sides = [side for edge in reversed(shape) for side in (edge % 2, 1)]
    padded = torch.nn.functional.pad(torch.from_numpy(x).permute(0, 3, 1, 2), sides, value=-np.inf)
    expected = torch.nn.functional.max_pool2d(padded, 3, 2).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(max_pool(numpy_ops, x), expected)
