"""Linear recurrences, and their gradient."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def linear_recurrence(
    decay: Float[Tensor, "T *row"],
    increment: Float[Tensor, "T *row"],
    initial: Float[Tensor, "*row"],
    /,
    *,
    reverse: bool = False,
) -> Float[Tensor, "T *row"]:
    """`y[t] = increment[t] + decay[t] * y[t-1]`; differentiable once.

    Example:
        >>> half, one = torch.full((3, 1), 0.5), torch.ones(3, 1)
        >>> linear_recurrence(half, one, torch.zeros(1)).flatten().tolist()
        [1.0, 1.5, 1.75]

    """
    if torch.is_grad_enabled() and (decay.requires_grad or increment.requires_grad or initial.requires_grad):
        return _Recurrence.apply(decay, increment, initial, reverse)  # type: ignore[no-any-return, no-untyped-call]
    return _recurrence(decay, increment, initial, reverse=reverse)


class _Recurrence(torch.autograd.Function):
    """The gradient of a linear recurrence is the same recurrence, run the other way."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, increment: Tensor, initial: Tensor, reverse: bool) -> Any:
        y = _recurrence(decay, increment, initial, reverse=reverse)
        ctx.save_for_backward(decay, initial, y)
        ctx.reverse = reverse
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        decay, initial, y = ctx.saved_tensors
        zero = torch.zeros_like(initial)[None]
        if ctx.reverse:
            previous = torch.cat((y[1:], initial[None]))
            total = _recurrence(torch.cat((zero, decay[:-1])), gradient, zero[0], reverse=False)
            first = -1
        else:
            previous = torch.cat((initial[None], y[:-1]))
            total = _recurrence(torch.cat((decay[1:], zero)), gradient, zero[0], reverse=True)
            first = 0
        return total * previous, total, decay[first] * total[first], None


def _recurrence(decay: Tensor, increment: Tensor, initial: Tensor, *, reverse: bool) -> Tensor:
    """By doubling: after k passes each entry has absorbed the 2**k before it (Hillis and Steele 1986).

    In host memory NumPy makes the passes, for its calls cost a fifth of torch's: 37 us against 220 us at 128 x 8,
    where a loop over the steps takes 160 us.
    """
    on_host = increment.device.type == "cpu"
    y: Any = increment.detach().numpy().copy() if on_host else increment.detach().clone()
    d: Any = decay.detach().numpy().copy() if on_host else decay.detach().clone()
    first = -1 if reverse else 0
    y[first] += d[first] * (initial.detach().numpy() if on_host else initial.detach())
    length, step = len(y), 1
    while step < length:
        early, late = slice(None, -step), slice(step, None)
        target, source = (early, late) if reverse else (late, early)
        y[target] += d[target] * y[source]
        d[target] = d[target] * d[source]
        step *= 2
    return torch.from_numpy(y) if on_host else y
