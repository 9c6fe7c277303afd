"""Optimizers as pure rules over flat state by name, with the numbers of Optax's, which are their tests' reference."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from puffer_core.arrays import Params, is_trainable
from puffer_core.contracts.backend import OptimizerConfig, OptimizerState


class Adam:
    """Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).

    State: `adam.m/NAME`, `adam.v/NAME`, `adam.step`, for both.

    Example:
        >>> adam = Adam(OptimizerConfig())
        >>> params = {"w": jnp.zeros(1)}
        >>> params, state = adam.apply(params, {"w": jnp.ones(1)}, adam.init(params), 0.1)
        >>> round(params["w"].item(), 4)
        -0.1

    """

    def __init__(self, config: OptimizerConfig) -> None:
        self._config = config
        self._decay = config.weight_decay if config.name == "adamw" else 0.0

    def init(self, params: Params) -> OptimizerState:
        """Zero moments of every trainable parameter, and the step count."""
        return {
            **_zeros("adam.m", params),
            "adam.step": np.zeros((), np.int64),
            **_zeros("adam.v", params),
        }

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step."""
        if not gradients:
            return params, state
        config, count = self._config, jnp.asarray(state["adam.step"]) + 1
        scale = 1.0 - jnp.asarray(config.beta1) ** count, 1.0 - jnp.asarray(config.beta2) ** count
        moved: Params = {}
        after: OptimizerState = {"adam.step": count}
        for name, gradient in gradients.items():
            weight = params[name]
            m = config.beta1 * state[f"adam.m/{name}"] + (1.0 - config.beta1) * gradient
            v = config.beta2 * state[f"adam.v/{name}"] + (1.0 - config.beta2) * jnp.square(gradient)
            scale_m, scale_v, rate = (jnp.asarray(x, weight.dtype) for x in (*scale, learning_rate))
            step = (m / scale_m) / (jnp.sqrt(v / scale_v) + config.epsilon)
            if self._decay:
                step = step + self._decay * weight
            moved[name] = weight - rate * step
            after |= {f"adam.m/{name}": m, f"adam.v/{name}": v}
        return {**params, **moved}, after


class Sgd:
    """Gradient descent with heavy-ball momentum. State: `sgd.momentum/NAME`, only where there is momentum.

    Example:
        >>> sgd = Sgd(OptimizerConfig(name="sgd"))
        >>> sgd.apply({"w": jnp.ones(1)}, {"w": jnp.ones(1)}, {}, 0.25)[0]["w"].item()
        0.75

    """

    def __init__(self, config: OptimizerConfig) -> None:
        self._momentum = config.momentum

    def init(self, params: Params) -> OptimizerState:
        """Zero momentum of every trainable parameter."""
        return _zeros("sgd.momentum", params) if self._momentum else {}

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step."""
        if not gradients:
            return params, state
        if self._momentum:
            gradients = {
                name: gradient + self._momentum * state[f"sgd.momentum/{name}"] for name, gradient in gradients.items()
            }
            state = {f"sgd.momentum/{name}": velocity for name, velocity in gradients.items()}
        moved = {
            name: params[name] - jnp.asarray(learning_rate, params[name].dtype) * step
            for name, step in gradients.items()
        }
        return {**params, **moved}, state


def _zeros(kind: str, params: Params) -> OptimizerState:
    names = (name for name in sorted(params) if is_trainable(name))
    return {f"{kind}/{name}": np.zeros(params[name].shape, params[name].dtype) for name in names}
