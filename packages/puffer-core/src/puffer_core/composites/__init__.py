"""Ops that are written over other ops, once for all engines.

A table of ops that inherits `ComposedOps` has to serve only what is left: the array API standard's own functions,
`gelu`, noise and, to train, gradients; docs/backends.md lists them. Whatever an engine has better it defines itself.

Shapes stand in the docstrings of `Ops` and in no annotation: arrays may be nodes of a graph, whose rows have no number.

Example:
    >>> import numpy as np
    >>> from puffer_core.numpy_backend import numpy_ops
    >>> networks.attention(numpy_ops, *np.ones((3, 2, 4), np.float32)).shape
    (2, 4)
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from puffer_core.composites import control, elements, networks, recurrent

__all__ = ["ComposedOps", "NumpyDtypes"]

Op: TypeAlias = Any
"""A function of the table and arrays; a table that inherits it may have another kind of callable in its place."""


class ComposedOps:
    """Base of a table of ops, which overrides what its engine has better.

    What it must override: `value_and_grad` and `stop_gradient` where the engine differentiates, for here nothing has a
    gradient; `spread` where it has several devices; loops where it compiles, for here the host makes every turn.

    Example:
        >>> from puffer_core.numpy_backend import NumpyBackend
        >>> type(NumpyBackend().ops).gru is ComposedOps.gru
        True
    """

    zeros: Op = elements.zeros
    ones: Op = elements.ones
    zeros_like: Op = elements.zeros_like
    ones_like: Op = elements.ones_like
    square: Op = elements.square
    clip: Op = elements.clip
    mean: Op = elements.mean

    relu: Op = elements.relu
    sigmoid: Op = elements.sigmoid
    silu: Op = elements.silu
    softplus: Op = elements.softplus
    softmax: Op = elements.softmax
    log_softmax: Op = elements.log_softmax

    one_hot: Op = networks.one_hot
    linear: Op = networks.linear
    layer_norm: Op = networks.layer_norm
    embedding: Op = networks.embedding
    conv2d: Op = networks.conv2d
    attention: Op = networks.attention
    lstm: Op = recurrent.lstm
    gru: Op = recurrent.gru

    linear_recurrence: Op = control.linear_recurrence
    scan: Op = control.scan
    while_loop: Op = control.while_loop

    spread: Op = control.spread
    stop_gradient: Op = control.stop_gradient
    value_and_grad: Op = control.value_and_grad
    clip_by_global_norm: Op = control.clip_by_global_norm


class NumpyDtypes:
    """The dtypes of a table whose engine takes NumPy's.

    Example:
        >>> NumpyDtypes.float32
        dtype('float32')
    """

    bool = np.dtype(np.bool_)
    uint8 = np.dtype(np.uint8)
    int32 = np.dtype(np.int32)
    int64 = np.dtype(np.int64)
    float32 = np.dtype(np.float32)
    float64 = np.dtype(np.float64)
