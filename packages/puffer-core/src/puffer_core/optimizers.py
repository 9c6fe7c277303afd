"""The rules of optimizers as formulas over `ops`: the reference in NumPy, one program on an engine that compiles.

An engine with fused kernels steps with these, and takes only the state's names from here.
"""

from __future__ import annotations

from typing import Any

from puffer_core.arrays import Params, is_trainable
from puffer_core.contracts.backend import OptimizerConfig, OptimizerState
from puffer_core.contracts.ops import Ops


class FormulaOptimizer:
    """`puffer_core.contracts.backend.Optimizer`, computed by an engine's own ops; it consumes nothing.

    Args:
        ops: the engine.
        config: which rule, and its constants.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> adam = FormulaOptimizer(numpy_ops, OptimizerConfig())
        >>> params = {"w": np.zeros(1)}
        >>> params, state = adam.apply(params, {"w": np.ones(1)}, adam.init(params), 0.1)
        >>> params["w"].round(4)
        array([-0.1])
    """

    def __init__(self, ops: Ops, config: OptimizerConfig) -> None:
        self.ops, self.config = ops, config

    def init(self, params: Params) -> OptimizerState:
        """See `initial_state`."""
        return initial_state(self.ops, self.config, params)

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step."""
        if not gradients:
            return params, state
        rule = sgd if self.config.name == "sgd" else adam
        return rule(self.ops, self.config, params, gradients, state, learning_rate)


def initial_state(ops: Ops, config: OptimizerConfig, params: Params) -> OptimizerState:
    """Zeros for every parameter that is differentiated, and what is counted.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> list(initial_state(numpy_ops, OptimizerConfig(), {"w": np.zeros(2), "stats.n": np.zeros(())}))
        ['adam.step', 'adam.m/w', 'adam.v/w']
    """
    names = [name for name in sorted(params) if is_trainable(name)]
    if config.name == "sgd":
        kinds, state = ["sgd.momentum"] if config.momentum else [], {}
    else:
        kinds, state = ["adam.m", "adam.v"], {"adam.step": ops.zeros((), dtype=ops.int64)}
    for kind in kinds:
        for name in names:
            state[f"{kind}/{name}"] = ops.zeros(tuple(params[name].shape), dtype=params[name].dtype)
    return state


def adam(
    ops: Ops, config: OptimizerConfig, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
) -> tuple[Params, OptimizerState]:
    """Kingma and Ba 2015, algorithm 1; where the config says adamw, Loshchilov and Hutter 2019, algorithm 2."""
    step = ops.asarray(state["adam.step"] + 1)
    count = ops.astype(step, ops.float64)
    scale_m, scale_v = 1.0 - config.beta1**count, 1.0 - config.beta2**count
    stepped: Params = dict(params)
    moved: OptimizerState = {"adam.step": step}
    for name, gradient in gradients.items():
        weight = params[name]
        m = config.beta1 * state[f"adam.m/{name}"] + (1.0 - config.beta1) * gradient
        v = config.beta2 * state[f"adam.v/{name}"] + (1.0 - config.beta2) * ops.square(gradient)
        by_m, by_v, rate = (ops.asarray(x, dtype=weight.dtype) for x in (scale_m, scale_v, learning_rate))
        direction = (m / by_m) / (ops.sqrt(v / by_v) + config.epsilon)
        if config.name == "adamw":
            direction = direction + config.weight_decay * weight
        stepped[name] = weight - rate * direction
        moved |= {f"adam.m/{name}": m, f"adam.v/{name}": v}
    return stepped, moved


def sgd(
    ops: Ops, config: OptimizerConfig, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
) -> tuple[Params, OptimizerState]:
    """`velocity = momentum * velocity + gradient`; `parameter -= rate * velocity` (Polyak 1964)."""
    stepped: Params = dict(params)
    moved: OptimizerState = dict(state)
    for name, gradient in gradients.items():
        velocity = gradient
        if config.momentum:
            velocity = moved[f"sgd.momentum/{name}"] = gradient + config.momentum * state[f"sgd.momentum/{name}"]
        stepped[name] = params[name] - ops.asarray(learning_rate, dtype=params[name].dtype) * velocity
    return stepped, moved
