"""The multilayer perceptron: fully connected layers, one network for actor and critic or one each."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.contracts.policy import Inputs, Outputs, PolicyInterface
from puffer_core.normalisers import moments_init, moments_update, normalise
from puffer_policies.encoders.vector import encode, feature_count
from puffer_policies.heads import apply_heads, check_outputs, init_heads
from puffer_policies.initialisation import orthogonal

_STATS = "stats.observation."


class MlpConfig(BaseModel):
    """Options of the `mlp` policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden_sizes: tuple[PositiveInt, ...] = Field((64, 64), min_length=1)
    """Units of each hidden layer. More: more to learn with, slower."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Between layers."""
    shared: bool = False
    """One trunk for actor and critic instead of one each: faster, but their gradients meet."""
    normalize_observation: bool = False
    """Centre and scale observations by their running mean and deviation, kept with the policy."""
    observation_clip: float = Field(10.0, gt=0)
    """Bound of a normalised observation, in standard deviations."""
    initial_log_std: float = Field(0.0, ge=-20, le=2)
    """Natural logarithm of the first standard deviation of continuous actions, which are scaled to [-1, 1]."""


class Mlp:
    """Fully connected layers over every kind of observation, as one vector; implements `Policy`.

    Args:
        config: sizes and options.
        interface: the spaces and the outputs that the trainer learns from.

    Weights are orthogonal with gain sqrt(2), heads 0.01 (actor) and 1 (critic), biases zero, as in Andrychowicz et
    al. 2021. The standard deviation of continuous actions does not depend on the observation.

    Raises:
        UnsupportedError: the trainer asks for an output other than `value`, or a space has no head.

    Example:
        >>> import gymnasium, numpy as np
        >>> from puffer_core import Layout, PolicyInterface
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> interface = PolicyInterface(
        ...     observation=Layout.of(gymnasium.spaces.Box(-1, 1, (3,))), action=Layout.of(gymnasium.spaces.Discrete(2))
        ... )
        >>> policy = Mlp(MlpConfig(hidden_sizes=(8,)), interface)
        >>> params = policy.init(np.random.default_rng(0))
        >>> inputs = {"observation": np.zeros((1, 5, 3), np.float32)}
        >>> outputs, _ = policy.apply(numpy_ops, params, inputs, (), np.zeros((1, 5), bool), None)
        >>> outputs["logits"].shape, outputs["value"].shape
        ((1, 5, 2), (1, 5))
    """

    def __init__(self, config: MlpConfig, interface: PolicyInterface) -> None:
        check_outputs("mlp", interface)
        self.config = config
        self.interface = interface
        self.inputs = frozenset({"observation"})
        self._layers = range(len(config.hidden_sizes))

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, float32."""
        config, params = self.config, Params()
        features = feature_count(self.interface.observation)
        networks = ["trunk"] if config.shared else ["actor", "critic"]
        if "value" not in self.interface.outputs and not config.shared:
            networks.remove("critic")
        for network in networks:
            sizes = (features, *config.hidden_sizes)
            for layer in self._layers:
                params[f"{network}.{layer}.weight"] = orthogonal(rng, sizes[layer], sizes[layer + 1], math.sqrt(2))
                params[f"{network}.{layer}.bias"] = np.zeros(sizes[layer + 1], np.float32)
        params |= init_heads(rng, self.interface, config.hidden_sizes[-1], config.initial_log_std)
        if config.normalize_observation:
            params |= {_STATS + name: value for name, value in moments_init((features,)).items()}
        return dict(sorted(params.items()))

    def initial_carry(self, rows: int) -> Tree:
        """Nothing: the policy has no memory."""
        return ()

    def apply(
        self, ops: Ops, params: Params, inputs: Inputs, carry: Tree, reset: Array, rng: Rng | None
    ) -> tuple[Outputs, Tree]:
        """Outputs `[time, rows, ...]`: the action distribution's parameters, and `value` where it was asked for."""
        first = "trunk.0.weight" if self.config.shared else "actor.0.weight"
        x = encode(ops, self.interface.observation, inputs["observation"], params[first].dtype)
        if self.config.normalize_observation:
            x = normalise(ops, self._moments(params), x, clip=self.config.observation_clip)
        if self.config.shared:
            actor = critic = self._network(ops, params, "trunk", x)
        else:
            actor = self._network(ops, params, "actor", x)
            critic = self._network(ops, params, "critic", x) if "value" in self.interface.outputs else actor
        return apply_heads(ops, params, self.interface, actor, critic), carry

    def update_stats(self, ops: Ops, params: Params, inputs: Inputs, weight: Array) -> Params:
        """Bring the observation's running mean and variance up to date."""
        if not self.config.normalize_observation:
            return params
        before = self._moments(params)
        x = encode(ops, self.interface.observation, inputs["observation"], before["mean"].dtype)
        moments = moments_update(ops, before, x, weight)
        return params | {_STATS + name: value for name, value in moments.items()}

    def _network(self, ops: Ops, params: Params, network: str, x: Array) -> Array:
        activation = getattr(ops, self.config.activation)
        for layer in self._layers:
            name = f"{network}.{layer}"
            x = activation(ops.linear(x, params[f"{name}.weight"], params[f"{name}.bias"]))
        return x

    def _moments(self, params: Params) -> dict[str, Array]:
        return {name: params[_STATS + name] for name in ("mean", "variance", "count")}
