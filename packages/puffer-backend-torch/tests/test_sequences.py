"""Recurrences, beyond what the conformance suite compares."""

import pytest
import torch

from puffer_backend_torch.sequences import linear_recurrence


def _inputs(steps=7, rows=3):
    generator = torch.Generator().manual_seed(0)
    decay = torch.rand(steps, rows, generator=generator, dtype=torch.float64)
    increment = torch.randn(steps, rows, generator=generator, dtype=torch.float64)
    return decay, increment, torch.randn(rows, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_of_a_recurrence_is_right(reverse):
    inputs = [x.requires_grad_() for x in _inputs()]
    assert torch.autograd.gradcheck(lambda *xs: linear_recurrence(*xs, reverse=reverse), inputs)


def test_a_recurrence_writes_into_none_of_its_arguments():
    inputs = _inputs()
    before = [x.clone() for x in inputs]
    linear_recurrence(*inputs, reverse=True)
    for x, kept in zip(inputs, before, strict=True):
        assert torch.equal(x, kept)


def test_a_decay_of_zero_forgets_the_past():
    decay, increment = torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0], [2.0]])
    assert linear_recurrence(decay, increment, torch.tensor([5.0])).flatten().tolist() == [6.0, 2.0]
