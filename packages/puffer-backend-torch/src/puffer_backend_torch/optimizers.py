"""Optimizers as pure rules, on torch's fused kernels: one call for all parameters, in place."""

from __future__ import annotations

from typing import Any

import torch

from puffer_core.arrays import Params, is_trainable
from puffer_core.contracts.backend import OptimizerConfig, OptimizerState


class Adam:
    """Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).

    State: `adam.m/NAME`, `adam.v/NAME`, `adam.step`, for both.

    Example:
        >>> adam = Adam(OptimizerConfig())
        >>> params = {"w": torch.zeros(1)}
        >>> params, state = adam.apply(params, {"w": torch.ones(1)}, adam.init(params), 0.1)
        >>> round(params["w"].item(), 4)
        -0.1

    """

    def __init__(self, config: OptimizerConfig) -> None:
        self._rule = torch._fused_adamw_ if config.name == "adamw" else torch._fused_adam_
        self._constants: dict[str, Any] = {
            "beta1": config.beta1,
            "beta2": config.beta2,
            "eps": config.epsilon,
            "weight_decay": config.weight_decay if config.name == "adamw" else 0.0,
            "amsgrad": False,
            "maximize": False,
        }

    def init(self, params: Params) -> OptimizerState:
        """Zero moments of every trainable parameter, and the step count."""
        names = _trainable(params)
        moments = {f"adam.{moment}/{name}": _zeros(params[name]) for moment in "mv" for name in names}
        device = params[names[0]].device if names else None
        return {**moments, "adam.step": torch.zeros((), dtype=torch.int64, device=device)}

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step, written into `params` and `state`."""
        names = list(gradients)
        if not names:
            return params, state
        first_names, second_names = [f"adam.m/{name}" for name in names], [f"adam.v/{name}" for name in names]
        weights, first, second = _dense(params, names), _dense(state, first_names), _dense(state, second_names)
        step = torch.as_tensor(state["adam.step"], dtype=torch.int64, device=weights[0].device).add_(1)
        self._rule(
            weights,
            _dense(gradients, names),
            first,
            second,
            [],
            [step.to(torch.float32)] * len(names),
            lr=learning_rate,
            **self._constants,
        )
        moments = zip(first_names + second_names, first + second, strict=True)
        return {**params, **dict(zip(names, weights, strict=True))}, {**dict(moments), "adam.step": step}


class Sgd:
    """Gradient descent with heavy-ball momentum. State: `sgd.momentum/NAME`, only where there is momentum.

    Example:
        >>> sgd = Sgd(OptimizerConfig(name="sgd"))
        >>> sgd.apply({"w": torch.ones(1)}, {"w": torch.ones(1)}, {}, 0.25)
        ({'w': tensor([0.7500])}, {})

    """

    def __init__(self, config: OptimizerConfig) -> None:
        self._momentum = config.momentum

    def init(self, params: Params) -> OptimizerState:
        """Zero momentum of every trainable parameter."""
        if not self._momentum:
            return {}
        return {f"sgd.momentum/{name}": _zeros(params[name]) for name in _trainable(params)}

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step, written into `params` and `state`."""
        names = list(gradients)
        if not names:
            return params, state
        weights, steps = _dense(params, names), _dense(gradients, names)
        if self._momentum:
            velocity_names = [f"sgd.momentum/{name}" for name in names]
            velocity = _dense(state, velocity_names)
            torch._foreach_mul_(velocity, self._momentum)
            torch._foreach_add_(velocity, steps)
            steps, state = velocity, dict(zip(velocity_names, velocity, strict=True))
        torch._foreach_add_(weights, steps, alpha=-learning_rate)
        return {**params, **dict(zip(names, weights, strict=True))}, state


def _trainable(params: Params) -> list[str]:
    return [name for name in sorted(params) if is_trainable(name)]


def _zeros(parameter: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(parameter, memory_format=torch.contiguous_format)


def _dense(tensors: dict[str, Any], names: list[str]) -> list[torch.Tensor]:
    """Those of `names`, each in row-major memory: the fused kernels walk raw memory and never look at strides."""
    return [tensors[name].contiguous() for name in names]
