"""Heads: from the last features to the named outputs that a trainer asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Outputs, PolicyInterface
from puffer_core.distributions import head_sizes
from puffer_core.errors import UnsupportedError
from puffer_policies.initialisation import orthogonal

ACTOR_GAIN = 0.01  # a first policy close to uniform (Andrychowicz et al. 2021, section 3.2)


def check_outputs(policy: str, interface: PolicyInterface) -> None:
    """Refuse outputs that no head gives.

    Raises:
        UnsupportedError: naming the outputs there are.
    """
    unknown = interface.outputs - {"value"}
    if unknown:
        raise UnsupportedError(
            f"policy {policy}: the trainer asks for outputs {sorted(unknown)}; this policy gives the action "
            "distribution's parameters and value"
        )


def init_heads(rng: np.random.Generator, interface: PolicyInterface, features: int, log_std: float) -> Params:
    """Parameters of the actor's head, and of the critic's where a value is asked for.

    Args:
        rng: the stream to draw from.
        interface: names the action space and the outputs.
        features: length of the vector that the heads read.
        log_std: initial logarithm of a continuous action's standard deviation.
    """
    params: Params = {}
    for name, size in head_sizes(interface.action).items():
        params[f"actor.{name}.weight"] = orthogonal(rng, features, size, ACTOR_GAIN)
        params[f"actor.{name}.bias"] = np.zeros(size, np.float32)
        if name.startswith("mean"):
            params[f"actor.{_log_std(name)}"] = np.full(size, log_std, np.float32)
    if "value" in interface.outputs:
        params["critic.value.weight"] = orthogonal(rng, features, 1, 1.0)
        params["critic.value.bias"] = np.zeros(1, np.float32)
    return params


def apply_heads(ops: Ops, params: Params, interface: PolicyInterface, actor: Array, critic: Array) -> Outputs:
    """Named outputs from the actor's and the critic's features, `[time, rows, features]` each."""
    outputs: Outputs = {}
    for name in head_sizes(interface.action):
        outputs[name] = _linear(ops, params, f"actor.{name}", actor)
        if name.startswith("mean"):
            log_std = params[f"actor.{_log_std(name)}"]
            outputs[_log_std(name)] = ops.broadcast_to(log_std, tuple(outputs[name].shape))
    if "value" in interface.outputs:
        outputs["value"] = _linear(ops, params, "critic.value", critic)[:, :, 0]
    return outputs


def _log_std(mean: str) -> str:
    """`log_std` for `mean`, `log_std.NAME` for `mean.NAME`."""
    return "log_std" + mean.removeprefix("mean")


def _linear(ops: Ops, params: Mapping[str, Array], name: str, x: Array) -> Array:
    return ops.linear(x, params[f"{name}.weight"], params[f"{name}.bias"])
