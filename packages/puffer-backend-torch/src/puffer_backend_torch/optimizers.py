"""The core's optimizers on torch's fused kernels: one call for all parameters, in place.

Of six layers of 64 units, Adam takes 75 us this way and 1,430 as formulas, plain descent 26 and 270.
"""

from __future__ import annotations

from typing import Any

import torch

from puffer_core.arrays import Params
from puffer_core.contracts.backend import OptimizerConfig, OptimizerState
from puffer_core.contracts.ops import Ops
from puffer_core.optimizers import FormulaOptimizer


class Adam(FormulaOptimizer):
    """Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).

    Example:
        >>> from puffer_backend_torch.ops import TorchOps
        >>> adam, params = Adam(TorchOps(torch.device("cpu")), OptimizerConfig()), {"w": torch.zeros(1)}
        >>> params, state = adam.apply(params, {"w": torch.ones(1)}, adam.init(params), 0.1)
        >>> round(params["w"].item(), 4)
        -0.1

    """

    def __init__(self, ops: Ops, config: OptimizerConfig) -> None:
        super().__init__(ops, config)
        self._rule = torch._fused_adamw_ if config.name == "adamw" else torch._fused_adam_
        self._constants: dict[str, Any] = {
            "beta1": config.beta1,
            "beta2": config.beta2,
            "eps": config.epsilon,
            "weight_decay": config.weight_decay if config.name == "adamw" else 0.0,
            "amsgrad": False,
            "maximize": False,
        }

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


class Sgd(FormulaOptimizer):
    """Gradient descent with heavy-ball momentum.

    Example:
        >>> from puffer_backend_torch.ops import TorchOps
        >>> sgd = Sgd(TorchOps(torch.device("cpu")), OptimizerConfig(name="sgd"))
        >>> sgd.apply({"w": torch.ones(1)}, {"w": torch.ones(1)}, {}, 0.25)
        ({'w': tensor([0.7500])}, {})

    """

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step, written into `params` and `state`."""
        names = list(gradients)
        if not names:
            return params, state
        weights, steps = _dense(params, names), _dense(gradients, names)
        if self.config.momentum:
            velocity_names = [f"sgd.momentum/{name}" for name in names]
            velocity = _dense(state, velocity_names)
            torch._foreach_mul_(velocity, self.config.momentum)
            torch._foreach_add_(velocity, steps)
            steps, state = velocity, dict(zip(velocity_names, velocity, strict=True))
        torch._foreach_add_(weights, steps, alpha=-learning_rate)
        return {**params, **dict(zip(names, weights, strict=True))}, state


def _dense(tensors: dict[str, Any], names: list[str]) -> list[torch.Tensor]:
    """Those of `names`, each in row-major memory: the fused kernels walk raw memory and never look at strides."""
    return [tensors[name].contiguous() for name in names]
