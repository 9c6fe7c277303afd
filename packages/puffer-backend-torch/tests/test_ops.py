"""Ops where torch's own function means something else than the contract."""

import pytest
import torch

from puffer_backend_torch.ops import TorchOps

ops = TorchOps(torch.device("cpu"))


def test_one_hot_of_an_index_out_of_range_is_zero():
    assert ops.one_hot(torch.tensor([0, 5, -1]), 2).tolist() == [[1, 0], [0, 0], [0, 0]]


def test_softplus_is_exact_above_torchs_threshold():
    x = torch.tensor([21.0], dtype=torch.float64)
    assert ops.softplus(x).item() - 21.0 == pytest.approx(7.582560e-10, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_indices_are_of_any_integer_type(dtype):
    x, indices = torch.arange(6.0).reshape(2, 3), torch.tensor([2, 0], dtype=dtype)
    assert ops.take(x, indices, axis=1).tolist() == [[2, 0], [5, 3]]
    assert ops.take_along_axis(x, indices[:, None], axis=1).tolist() == [[2], [3]]


def test_indices_broadcast_against_the_array():
    x = torch.arange(6.0).reshape(2, 3)
    assert ops.take_along_axis(x, torch.tensor([[1]]), axis=1).tolist() == [[1], [4]]


def test_the_gradient_of_a_weight_is_row_major():
    weight = torch.ones(3, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(ops.linear(torch.ones(1, 4, 3), weight, torch.zeros(2)).sum(), weight)
    assert gradient.is_contiguous()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_reset_cuts_the_gradient_to_the_carry_before_it(cell):
    gates = {"lstm": 4, "gru": 3}[cell]
    h = torch.ones(2, 1, requires_grad=True)
    carry = (h, torch.zeros(2, 1)) if cell == "lstm" else h
    biases = [torch.zeros(gates)] * (1 if cell == "lstm" else 2)
    reset = torch.tensor([[False, False], [True, False], [False, False]])
    arguments = torch.ones(3, 2, 1), carry, reset, torch.ones(1, gates), torch.ones(1, gates), *biases
    steps, _ = getattr(ops, cell)(*arguments)
    (gradient,) = torch.autograd.grad(steps[1:].sum(), h)
    assert gradient[0] == 0
    assert gradient[1] != 0
