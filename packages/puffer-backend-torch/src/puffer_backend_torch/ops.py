"""The table of ops: torch's own functions where their meaning agrees, thin wrappers elsewhere.

torch takes `axis` and `keepdims` as other names of `dim` and `keepdim`, at no measurable cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from puffer_backend_torch import gradients, networks, sequences
from puffer_core.composites import ComposedOps

# Where these are missing from torch's own names, the C++ binding is called without its Python wrapper.
_nn = torch._C._nn


class TorchOps(ComposedOps):
    """Every op of the contract, computed by torch on one device.

    Args:
        device: where new arrays are made.
        compiled: whether losses are compiled before they are differentiated.

    Example:
        >>> ops = TorchOps(torch.device("cpu"))
        >>> ops.sum(ops.ones((2, 3)), axis=-1).tolist()
        [3.0, 3.0]

    """

    name = "torch"
    bool = torch.bool
    uint8 = torch.uint8
    int32 = torch.int32
    int64 = torch.int64
    float32 = torch.float32
    float64 = torch.float64

    def __init__(self, device: torch.device, *, compiled: Any = False) -> None:
        self.asarray = partial(torch.as_tensor, device=device)
        self.zeros = partial(torch.zeros, device=device)
        self.ones = partial(torch.ones, device=device)
        self.full = partial(torch.full, device=device)
        self.arange = partial(torch.arange, device=device)
        self.split = partial(_split, device)
        self.uniform = partial(_uniform, device)
        self.normal = partial(_normal, device)
        self.permutation = partial(_permutation, device)
        self.value_and_grad = gradients.compiled_value_and_grad if compiled else gradients.value_and_grad

    zeros_like = staticmethod(torch.zeros_like)
    ones_like = staticmethod(torch.ones_like)
    astype = staticmethod(torch.Tensor.to)

    abs = staticmethod(torch.abs)
    exp = staticmethod(torch.exp)
    expm1 = staticmethod(torch.expm1)
    log = staticmethod(torch.log)
    log1p = staticmethod(torch.log1p)
    sqrt = staticmethod(torch.sqrt)
    square = staticmethod(torch.square)
    sin = staticmethod(torch.sin)
    cos = staticmethod(torch.cos)
    tanh = staticmethod(torch.tanh)
    floor = staticmethod(torch.floor)
    sign = staticmethod(torch.sign)
    isfinite = staticmethod(torch.isfinite)
    logical_and = staticmethod(torch.logical_and)
    logical_or = staticmethod(torch.logical_or)
    logical_not = staticmethod(torch.logical_not)
    maximum = staticmethod(torch.maximum)
    minimum = staticmethod(torch.minimum)
    clip = staticmethod(torch.clamp)
    where = staticmethod(torch.where)

    sum = staticmethod(torch.sum)
    mean = staticmethod(torch.mean)
    max = staticmethod(torch.amax)
    min = staticmethod(torch.amin)
    any = staticmethod(torch.any)
    all = staticmethod(torch.all)
    argmax = staticmethod(torch.argmax)
    cumulative_sum = staticmethod(torch.cumsum)

    reshape = staticmethod(torch.reshape)
    permute_dims = staticmethod(torch.permute)
    expand_dims = staticmethod(torch.unsqueeze)
    squeeze = staticmethod(torch.squeeze)
    broadcast_to = staticmethod(torch.broadcast_to)
    concat = staticmethod(torch.cat)
    stack = staticmethod(torch.stack)
    matmul = staticmethod(torch.matmul)

    relu = staticmethod(torch.relu)
    sigmoid = staticmethod(torch.sigmoid)
    silu = staticmethod(_nn.silu)
    gelu = staticmethod(_nn.gelu)
    softmax = staticmethod(torch.softmax)
    log_softmax = staticmethod(torch.log_softmax)
    linear = staticmethod(networks.linear)
    layer_norm = staticmethod(networks.layer_norm)
    conv2d = staticmethod(networks.conv2d)
    attention = staticmethod(networks.attention)
    lstm = staticmethod(networks.lstm)
    gru = staticmethod(networks.gru)

    linear_recurrence = staticmethod(sequences.linear_recurrence)

    stop_gradient = staticmethod(torch.detach)
    clip_by_global_norm = staticmethod(gradients.clip_by_global_norm)

    @staticmethod
    def flip(x: torch.Tensor, /, *, axis: int) -> torch.Tensor:
        return torch.flip(x, (axis,))

    @staticmethod
    def take(x: torch.Tensor, indices: torch.Tensor, /, *, axis: int) -> torch.Tensor:
        return torch.index_select(x, axis, indices)

    @staticmethod
    def take_along_axis(x: torch.Tensor, indices: torch.Tensor, /, *, axis: int) -> torch.Tensor:
        # gather costs a third of take_along_dim, but does not broadcast
        indices = indices.long()
        if x.shape[:axis] == indices.shape[:axis] and x.ndim == indices.ndim and axis in (-1, x.ndim - 1):
            return torch.gather(x, axis, indices)
        return torch.take_along_dim(x, indices, dim=axis)

    @staticmethod
    def softplus(x: torch.Tensor, /) -> torch.Tensor:
        # torch gives x itself above its default threshold of 20, which is 2e-9 off
        return _nn.softplus(x, 1.0, 40.0)


def _split(device: torch.device, rng: torch.Generator, count: int, /) -> tuple[torch.Generator, ...]:
    seeds: Sequence[int] = torch.randint(2**63 - 1, (count,), generator=rng, device=device).tolist()
    return tuple(torch.Generator(device).manual_seed(seed) for seed in seeds)


def _uniform(device: torch.device, rng: torch.Generator, shape: tuple[int, ...], /) -> torch.Tensor:
    return torch.rand(shape, generator=rng, device=device)


def _normal(device: torch.device, rng: torch.Generator, shape: tuple[int, ...], /) -> torch.Tensor:
    return torch.randn(shape, generator=rng, device=device)


def _permutation(device: torch.device, rng: torch.Generator, count: int, /) -> torch.Tensor:
    return torch.randperm(count, generator=rng, device=device)
