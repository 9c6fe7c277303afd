"""Optimizers in NumPy: nothing trains on them; in float64 they are what other engines are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from puffer_core.arrays import Params, is_trainable
from puffer_core.contracts.backend import Optimizer, OptimizerConfig, OptimizerState


@dataclass(frozen=True)
class Adam:
    """Adam, and AdamW where the config says so: the same state, `adam.m/NAME`, `adam.v/NAME` and `adam.step`."""

    config: OptimizerConfig

    def init(self, params: Params) -> OptimizerState:
        """Zero moments of every parameter that is differentiated."""
        names = [name for name in sorted(params) if is_trainable(name)]
        moments = {f"adam.{moment}/{name}": np.zeros_like(params[name]) for moment in "mv" for name in names}
        return {"adam.step": np.zeros((), np.int64), **moments}

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2."""
        config, rate = self.config, float(learning_rate)
        decay = rate * config.weight_decay if config.name == "adamw" else 0.0
        step = int(state["adam.step"]) + 1
        stepped, moved = dict(params), {"adam.step": np.asarray(step, np.int64)}
        first_correction, second_correction = 1 - config.beta1**step, math.sqrt(1 - config.beta2**step)
        for name in sorted(gradients):
            gradient = gradients[name]
            m = config.beta1 * state[f"adam.m/{name}"] + (1 - config.beta1) * gradient
            v = config.beta2 * state[f"adam.v/{name}"] + (1 - config.beta2) * gradient * gradient
            direction = m / (np.sqrt(v) / second_correction + config.epsilon)
            stepped[name] = params[name] * (1 - decay) - rate / first_correction * direction
            moved[f"adam.m/{name}"], moved[f"adam.v/{name}"] = m, v
        return stepped, moved


@dataclass(frozen=True)
class Sgd:
    """Gradient descent with heavy-ball momentum; `sgd.momentum/NAME` where there is any."""

    config: OptimizerConfig

    def init(self, params: Params) -> OptimizerState:
        """Zero velocity of every parameter that is differentiated; nothing without momentum."""
        if not self.config.momentum:
            return {}
        return {f"sgd.momentum/{name}": np.zeros_like(params[name]) for name in sorted(params) if is_trainable(name)}

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """`velocity = momentum * velocity + gradient`; `parameter -= rate * velocity` (Polyak 1964)."""
        rate, momentum = float(learning_rate), self.config.momentum
        stepped, moved = dict(params), dict(state)
        for name in sorted(gradients):
            velocity = gradients[name]
            if momentum:
                velocity = momentum * state[f"sgd.momentum/{name}"] + velocity
                moved[f"sgd.momentum/{name}"] = velocity
            stepped[name] = params[name] - rate * velocity
        return stepped, moved


def make_optimizer(config: OptimizerConfig) -> Optimizer:
    """The optimizer that `config` names.

    Example:
        >>> sorted(make_optimizer(OptimizerConfig()).init({"w": np.zeros(2), "stats.n": np.zeros(())}))
        ['adam.m/w', 'adam.step', 'adam.v/w']
    """
    return Sgd(config) if config.name == "sgd" else Adam(config)
