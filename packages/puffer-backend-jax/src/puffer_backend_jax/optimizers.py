"""Optax's optimizers as pure rules over flat state by name."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

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
        self._moments = optax.scale_by_adam(config.beta1, config.beta2, config.epsilon)
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
        count = jnp.asarray(state["adam.step"])
        before = optax.ScaleByAdamState(
            count=count, mu=_named("adam.m", state, gradients), nu=_named("adam.v", state, gradients)
        )
        steps, after = self._moments.update(gradients, before)
        if self._decay:
            steps = {name: step + self._decay * params[name] for name, step in steps.items()}
        moved = _flat("adam.m", after.mu) | _flat("adam.v", after.nu)
        return _descended(params, steps, learning_rate), {**moved, "adam.step": count + 1}


class Sgd:
    """Gradient descent with heavy-ball momentum. State: `sgd.momentum/NAME`, only where there is momentum.

    Example:
        >>> sgd = Sgd(OptimizerConfig(name="sgd"))
        >>> sgd.apply({"w": jnp.ones(1)}, {"w": jnp.ones(1)}, {}, 0.25)[0]["w"].item()
        0.75

    """

    def __init__(self, config: OptimizerConfig) -> None:
        self._momentum = optax.trace(config.momentum) if config.momentum else None

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
            before = optax.TraceState(trace=_named("sgd.momentum", state, gradients))
            gradients, after = self._momentum.update(gradients, before)
            state = _flat("sgd.momentum", after.trace)
        return _descended(params, gradients, learning_rate), state


def _zeros(kind: str, params: Params) -> OptimizerState:
    names = (name for name in sorted(params) if is_trainable(name))
    return {f"{kind}/{name}": np.zeros(params[name].shape, params[name].dtype) for name in names}


def _named(kind: str, state: OptimizerState, gradients: Params) -> Params:
    return {name: state[f"{kind}/{name}"] for name in gradients}


def _flat(kind: str, moments: Params) -> OptimizerState:
    return {f"{kind}/{name}": moment for name, moment in moments.items()}


def _descended(params: Params, steps: Params, learning_rate: Any) -> Params:
    """`learning_rate` is a number or an array of any float dtype; parameters keep theirs."""
    moved = {name: params[name] - jnp.asarray(learning_rate, params[name].dtype) * step for name, step in steps.items()}
    return {**params, **moved}
