"""Gradients of losses, and their clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from puffer_core.arrays import Params, Tree, is_trainable, map_tree

_engine: Any = torch.autograd.Variable._execution_engine


def value_and_grad(
    loss: Callable[..., tuple[torch.Tensor, Tree]], /
) -> Callable[..., tuple[tuple[torch.Tensor, Tree], Params]]:
    """The loss with its gradients by name; it reads the very memory of the parameters, no copy.

    Example:
        >>> gradient = value_and_grad(lambda params: (params["w"].square().sum(), ()))
        >>> gradient({"w": torch.tensor([1.0, 2.0])})
        ((tensor(5.), ()), {'w': tensor([2., 4.])})

    """

    def differentiated(params: Params, *rest: Any) -> tuple[tuple[torch.Tensor, Tree], Params]:
        with torch.enable_grad():
            inputs, leaves = _split_trainable(params)
            value, extra = loss(inputs, *rest)
            gradients = _backward(value, leaves)
        return (value.detach(), map_tree(_detach, extra)), gradients

    return differentiated


def compiled_value_and_grad(
    loss: Callable[..., tuple[torch.Tensor, Tree]], /, *, engine: str = "inductor"
) -> Callable[..., tuple[tuple[torch.Tensor, Tree], Params]]:
    """`value_and_grad` of `torch.compile(loss)`; `engine` is what torch calls the compiler's backend."""
    return value_and_grad(torch.compile(loss, backend=engine))


def clip_by_global_norm(gradients: Params, limit: float, /) -> tuple[Params, torch.Tensor]:
    """Out of place: autograd may hand out one tensor for two parameters, or one entry for a whole row.

    One copy into a flat tensor makes the norm twice as fast as a norm for each parameter.

    Example:
        >>> clip_by_global_norm({"w": torch.tensor([3.0, 4.0])}, 1.0)
        ({'w': tensor([0.6000, 0.8000])}, tensor(5.))

    """
    tensors = list(gradients.values())
    norm = torch.linalg.vector_norm(torch._C._nn.flatten_dense_tensors(tensors))
    scaled = torch._foreach_div(tensors, torch.clamp(norm / limit, min=1.0))
    return dict(zip(gradients, scaled, strict=True)), norm


def _split_trainable(params: Params) -> tuple[Params, dict[str, torch.Tensor]]:
    """Parameters as leaves of a new graph, and those of them that are differentiated, both sorted by name."""
    inputs, leaves = {}, {}
    for name in sorted(params):
        inputs[name] = params[name]
        if is_trainable(name):
            inputs[name] = leaves[name] = params[name].detach().requires_grad_()
    return inputs, leaves


def _backward(value: torch.Tensor, leaves: dict[str, torch.Tensor]) -> Params:
    """`torch.autograd.grad` without its checks in Python, which take 7 % of a PPO minibatch of 256 rows."""
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    found = _engine.run_backward(
        (value,),
        (torch.ones_like(value),),
        False,  # noqa: FBT003  keep_graph
        False,  # noqa: FBT003  create_graph
        tuple(leaves.values()),
        True,  # noqa: FBT003  allow_unreachable
        accumulate_grad=False,
    )
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }


def _detach(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x
