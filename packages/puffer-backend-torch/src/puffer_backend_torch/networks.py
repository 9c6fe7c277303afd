"""Layers that torch has in another shape than the contract."""

from __future__ import annotations

import torch


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
    """Step by step, for a row may be reset at any step; the input's share of the gates is one product."""
    h, c = carry
    keep = _keep(reset, x.dtype)
    steps = []
    for gates, alive in zip(linear(x, weight, bias).unbind(0), keep.unbind(0), strict=True):
        i, f, g, o = torch.addmm(gates, h * alive, recurrent).chunk(4, -1)
        c = torch.sigmoid(f) * (c * alive) + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        steps.append(h)
    return torch.stack(steps), (h, c)


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
    h = carry
    keep = _keep(reset, x.dtype)
    steps = []
    for gates, alive in zip(linear(x, weight, bias).unbind(0), keep.unbind(0), strict=True):
        h = h * alive
        x_r, x_z, x_n = gates.chunk(3, -1)
        h_r, h_z, h_n = torch.addmm(recurrent_bias, h, recurrent).chunk(3, -1)
        new = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        h = torch.lerp(new, h, torch.sigmoid(x_z + h_z))
        steps.append(h)
    return torch.stack(steps), h


def _keep(reset: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """1 where the carry lives on, 0 where it is reset: `[T, N, 1]`."""
    return torch.logical_not(reset).to(dtype).unsqueeze(-1)
