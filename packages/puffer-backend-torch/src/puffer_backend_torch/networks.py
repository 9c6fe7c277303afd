"""Layers that torch has in another shape than the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

# `train` matters to cuDNN alone, which then keeps what the gradient needs
_ONE_LAYER: dict[str, Any] = {
    "has_biases": True,
    "num_layers": 1,
    "dropout": 0.0,
    "train": True,
    "bidirectional": False,
    "batch_first": False,
}


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, /) -> torch.Tensor:
    """`x @ weight + bias` over the last axis, as one multiply-and-add on a matrix."""
    if bias is None:
        return torch.matmul(x, weight)
    if x.ndim == 2:
        return torch.addmm(bias, x, weight)
    return torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], bias.shape[0])


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, /, *, epsilon: float = 1e-5) -> torch.Tensor:
    """Over the last axis (Ba et al. 2016)."""
    return torch.layer_norm(x, weight.shape, weight, bias, epsilon)


def embedding(indices: torch.Tensor, table: torch.Tensor, /) -> torch.Tensor:
    """Rows of `table`."""
    return torch.embedding(table, indices)


def conv2d(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, /, *, stride: int = 1, padding: int = 0
) -> torch.Tensor:
    """Channels come last; torch's name for that is a memory format, so nothing is copied on the way."""
    y = torch.conv2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), bias, (stride, stride), (padding, padding))
    return y.permute(0, 2, 3, 1)


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, /, *, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Scaled dot product (Vaswani et al. 2017, eq. 1)."""
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)


def lstm(
    x: torch.Tensor,
    carry: tuple[torch.Tensor, torch.Tensor],
    reset: torch.Tensor,
    weight: torch.Tensor,
    recurrent: torch.Tensor,
    bias: torch.Tensor,
    /,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Torch's own kernel from one reset to the next: 5 times as fast as a loop over steps at 128 x 8."""
    weights = [weight.t(), recurrent.t(), bias, torch.zeros_like(bias)]
    h, c = (state.unsqueeze(0) for state in carry)
    parts = []
    for part, keep in _segments(x, reset):
        y, h, c = torch.lstm(part, (h * keep, c * keep), weights, **_ONE_LAYER)
        parts.append(y)
    return torch.cat(parts), (h[0], c[0])


def gru(
    x: torch.Tensor,
    carry: torch.Tensor,
    reset: torch.Tensor,
    weight: torch.Tensor,
    recurrent: torch.Tensor,
    bias: torch.Tensor,
    recurrent_bias: torch.Tensor,
    /,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Like `lstm`."""
    weights = [weight.t(), recurrent.t(), bias, recurrent_bias]
    h = carry.unsqueeze(0)
    parts = []
    for part, keep in _segments(x, reset):
        y, h = torch.gru(part, h * keep, weights, **_ONE_LAYER)
        parts.append(y)
    return torch.cat(parts), h[0]


def _segments(x: torch.Tensor, reset: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Stretches of `x` in which only the first step resets rows, and 0 for these rows, 1 for others: `[N, 1]`."""
    starts = sorted({0, *reset.any(dim=1).nonzero().squeeze(-1).tolist()})
    for start, end in zip(starts, [*starts[1:], len(x)], strict=True):
        yield x[start:end], torch.logical_not(reset[start]).to(x.dtype).unsqueeze(-1)
