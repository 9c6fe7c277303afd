"""Layers that torch has in another shape than the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from puffer_backend_torch.recurrent import gru_steps, lstm_steps

# `train` matters to cuDNN alone, which then keeps what the gradient needs
_ONE_LAYER: dict[str, Any] = {
    "has_biases": True,
    "num_layers": 1,
    "dropout": 0.0,
    "train": True,
    "bidirectional": False,
    "batch_first": False,
}


def linear(
    x: Float[Tensor, "*lead in"], weight: Float[Tensor, "in out"], bias: Float[Tensor, " out"] | None = None, /
) -> Float[Tensor, "*lead out"]:
    """`x @ weight + bias`, as one multiply-and-add of matrices whatever the leading axes.

    `[1, rows, in]`, the shape of acting and of learning without memory, goes as a batch of one matrix: that takes
    one node of autograd's graph where two changes of shape take three, 5 % of a PPO minibatch of 256 rows.

    `torch.nn.functional.linear` has the weight the other way round: the gradient would come out transposed, and
    every optimizer step pay for it.
    """
    if bias is None:
        return torch.matmul(x, weight)
    if x.ndim == 2:
        return torch.addmm(bias, x, weight)
    if x.ndim == 3 and x.shape[0] == 1:
        return torch.baddbmm(bias, x, weight.unsqueeze(0))
    return torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], bias.shape[0])


def layer_norm(
    x: Float[Tensor, "*lead features"],
    weight: Float[Tensor, " features"],
    bias: Float[Tensor, " features"],
    /,
    *,
    epsilon: float = 1e-5,
) -> Float[Tensor, "*lead features"]:
    """Zero mean and unit variance over the last axis, then scale and shift (Ba et al. 2016)."""
    return torch.layer_norm(x, weight.shape, weight, bias, epsilon)


def conv2d(
    x: Float[Tensor, "batch height width channels"],
    weight: Float[Tensor, "kernel_height kernel_width channels filters"],
    bias: Float[Tensor, " filters"],
    /,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Tensor, "batch out_height out_width filters"]:
    """Cross-correlation. To torch, channels that come last are a memory format: nothing is copied on the way."""
    y = torch.conv2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), bias, (stride, stride), (padding, padding))
    return y.permute(0, 2, 3, 1)


def attention(
    query: Float[Tensor, "*lead queries features"],
    key: Float[Tensor, "*lead keys features"],
    value: Float[Tensor, "*lead keys values"],
    /,
    *,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "*lead queries values"]:
    """`softmax(query key' / sqrt(features)) value` (Vaswani et al. 2017, eq. 1)."""
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)


def lstm(
    x: Float[Tensor, "T N in"],
    carry: tuple[Float[Tensor, "N hidden"], Float[Tensor, "N hidden"]],
    reset: Bool[Tensor, "T N"],
    weight: Float[Tensor, "in gates"],
    recurrent: Float[Tensor, "hidden gates"],
    bias: Float[Tensor, " gates"],
    /,
) -> tuple[Float[Tensor, "T N hidden"], tuple[Float[Tensor, "N hidden"], Float[Tensor, "N hidden"]]]:
    """Torch's own kernel from one reset to the next; in host memory a loop of ours where resets fall in between."""
    if _on_host(x) and bool(reset[1:].any()):
        hidden, last = lstm_steps(linear(x, weight, bias), *carry, reset, recurrent)
        return hidden, (hidden[-1], last)
    weights = [weight.t(), recurrent.t(), bias, torch.zeros_like(bias)]
    h, c = (state.unsqueeze(0) for state in carry)
    parts = []
    for part, keep in _segments(x, reset):
        y, h, c = torch.lstm(part, (h * keep, c * keep), weights, **_ONE_LAYER)
        parts.append(y)
    return torch.cat(parts), (h[0], c[0])


def gru(
    x: Float[Tensor, "T N in"],
    carry: Float[Tensor, "N hidden"],
    reset: Bool[Tensor, "T N"],
    weight: Float[Tensor, "in gates"],
    recurrent: Float[Tensor, "hidden gates"],
    bias: Float[Tensor, " gates"],
    recurrent_bias: Float[Tensor, " gates"],
    /,
) -> tuple[Float[Tensor, "T N hidden"], Float[Tensor, "N hidden"]]:
    """Torch's own kernel from one reset to the next; in host memory a loop of ours, twice as fast even without any."""
    if _on_host(x):
        hidden = gru_steps(linear(x, weight, bias), carry, reset, recurrent, recurrent_bias)
        return hidden, hidden[-1]
    weights = [weight.t(), recurrent.t(), bias, recurrent_bias]
    h = carry.unsqueeze(0)
    parts = []
    for part, keep in _segments(x, reset):
        y, h = torch.gru(part, h * keep, weights, **_ONE_LAYER)
        parts.append(y)
    return torch.cat(parts), h[0]


def _on_host(x: Tensor) -> bool:
    return x.device.type == "cpu"


def _segments(x: Tensor, reset: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Stretches of `x` in which only the first step resets rows, and 0 for these rows, 1 for others: `[N, 1]`."""
    starts = sorted({0, *reset.any(dim=1).nonzero().squeeze(-1).tolist()})
    for start, end in zip(starts, [*starts[1:], len(x)], strict=True):
        yield x[start:end], torch.logical_not(reset[start]).to(x.dtype).unsqueeze(-1)
