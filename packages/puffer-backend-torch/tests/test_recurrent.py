"""Gated cells with resets in between: torch's own kernel cut at every reset, and finite differences, say the same."""

from __future__ import annotations

import pytest
import torch

from puffer_backend_torch.networks import gru, lstm

STEPS, ROWS, INPUTS, HIDDEN = 7, 3, 4, 5


def arguments(gates: int) -> tuple[torch.Tensor, ...]:
    noise = torch.Generator().manual_seed(gates)
    shapes = [
        (STEPS, ROWS, INPUTS),
        (ROWS, HIDDEN),
        (ROWS, HIDDEN),
        (INPUTS, gates),
        (HIDDEN, gates),
        (gates,),
        (gates,),
    ]
    return tuple(torch.randn(*shape, generator=noise, dtype=torch.float64, requires_grad=True) for shape in shapes)


def resets(at: tuple[tuple[int, int], ...]) -> torch.Tensor:
    reset = torch.zeros(STEPS, ROWS, dtype=torch.bool)
    for place in at:
        reset[place] = True
    return reset


def run_lstm(reset, x, h, c, weight, recurrent, bias, _):
    y, (last_h, last_c) = lstm(x, (h, c), reset, weight, recurrent, bias)
    return y, last_h, last_c


def run_gru(reset, x, h, _, weight, recurrent, bias, recurrent_bias):
    return gru(x, h, reset, weight, recurrent, bias, recurrent_bias)


CELLS = pytest.mark.parametrize(("run", "gates"), [(run_lstm, 4 * HIDDEN), (run_gru, 3 * HIDDEN)], ids=["lstm", "gru"])
PLACES = ((0, 1), (2, 0), (3, 0), (3, 2), (6, 1))


@CELLS
def test_unrolling_equals_stepping(run, gates):
    x, *states, weight, recurrent, bias, other = arguments(gates)
    reset = resets(PLACES)
    whole = run(reset, x, *states, weight, recurrent, bias, other)
    for t in range(STEPS):
        y, *last = run(reset[t : t + 1], x[t : t + 1], *states, weight, recurrent, bias, other)
        states = [*last, states[-1]][:2]
        torch.testing.assert_close(whole[0][t], y[0], rtol=0, atol=1e-12)
    for one, end in zip(whole[1:], last, strict=True):
        torch.testing.assert_close(one, end, rtol=0, atol=1e-12)


@CELLS
def test_gradients_are_those_of_torchs_own_kernel(run, gates, monkeypatch):
    found = []
    for ours in (True, False):
        given, reset = arguments(gates), resets(PLACES)
        if not ours:
            monkeypatch.setattr("puffer_backend_torch.networks._on_host", lambda _: False)
        total = sum((part * part.detach().cos()).sum() for part in run(reset, *given))
        found.append(torch.autograd.grad(total, given, allow_unused=True))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@CELLS
def test_arguments_stay_as_they_are(run, gates):
    given = arguments(gates)
    before = [part.detach().clone() for part in given]
    run(resets(PLACES), *given)[0].sum().backward()
    for part, copy in zip(given, before, strict=True):
        torch.testing.assert_close(part.detach(), copy, rtol=0, atol=0)
