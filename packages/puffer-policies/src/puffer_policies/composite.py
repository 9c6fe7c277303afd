"""The composition of every policy but `mlp`: an encoder for each part, layers, a memory, heads."""

from __future__ import annotations

import math

import numpy as np

from puffer_core.arrays import Array, Params, Tree, map_tree
from puffer_core.contracts.ops import Dtype, Ops, Rng
from puffer_core.contracts.policy import Inputs, Outputs, PolicyInterface
from puffer_core.distributions import head_sizes
from puffer_core.normalisers import moments_init, moments_update, normalise
from puffer_policies.config import CompositeConfig
from puffer_policies.encoders.observation import divide
from puffer_policies.encoders.vector import encode_leaves, leaf_features, parts_of
from puffer_policies.heads import apply_heads, check_outputs, init_heads
from puffer_policies.initialisation import orthogonal

_STATS = "stats.observation."


class Composite:
    """Encoders -> fully connected layers -> a memory, where the config names one -> heads; implements `Policy`.

    Images are read by convolutions, everything else stands side by side in one vector; actor and critic share all but
    their heads.

    Args:
        config: which encoder, sizes, and which memory: that of `cnn`, `lstm`, `gru` or `mingru`.
        interface: the spaces and the outputs that the trainer learns from.

    Raises:
        UnsupportedError: the trainer asks for an output other than `value`, a space has no head, or the encoder reads
            images and there is none, or a smaller one.

    Example:
        >>> import gymnasium
        >>> from puffer_core import Layout
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> from puffer_policies import LstmConfig
        >>> interface = PolicyInterface(
        ...     observation=Layout.of(gymnasium.spaces.Box(-1, 1, (3,))), action=Layout.of(gymnasium.spaces.Discrete(2))
        ... )
        >>> policy = Composite(LstmConfig(hidden_size=8), interface)
        >>> params, carry = policy.init(np.random.default_rng(0)), policy.initial_carry(5)
        >>> inputs = {"observation": np.zeros((1, 5, 3), np.float32)}
        >>> outputs, carry = policy.apply(numpy_ops, params, inputs, carry, np.zeros((1, 5), bool), None)
        >>> outputs["logits"].shape, carry[0].shape
        ((1, 5, 2), (5, 8))
    """

    def __init__(self, config: CompositeConfig, interface: PolicyInterface) -> None:
        check_outputs(config.policy, interface)
        self.config = config
        self.interface = interface
        self.inputs = frozenset({"observation"})
        self._images, self._vector = divide(config.policy, interface.observation, config.encoder)
        self._normalises = config.normalize_observation and bool(self._vector)
        self._vector_features = leaf_features(self._vector)
        encoded = self._vector_features + sum(image.features for image in self._images)
        self._sizes = (encoded, *config.layer_sizes)
        self._core = config.core(self._sizes[-1])
        self._head = f"actor.{next(iter(head_sizes(interface.action)))}.weight"

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, float32."""
        params: Params = {}
        for image in self._images:
            params |= image.init(rng)
        for layer, (inputs, outputs) in enumerate(zip(self._sizes, self._sizes[1:], strict=False)):
            params[f"trunk.{layer}.weight"] = orthogonal(rng, inputs, outputs, math.sqrt(2))
            params[f"trunk.{layer}.bias"] = np.zeros(outputs, np.float32)
        features = self._sizes[-1]
        if self._core:
            params |= self._core.init(rng)
            features = self._core.features
        params |= init_heads(rng, self.interface, features, self.config.initial_log_std)
        if self._normalises:
            params |= {_STATS + name: value for name, value in moments_init((self._vector_features,)).items()}
        return dict(sorted(params.items()))

    def initial_carry(self, rows: int) -> Tree:
        """The memory's zeros, `[rows, hidden]` each; nothing for a policy without one."""
        return self._core.initial_carry(rows) if self._core else ()

    def apply(
        self, ops: Ops, params: Params, inputs: Inputs, carry: Tree, reset: Array, rng: Rng | None
    ) -> tuple[Outputs, Tree]:
        """Outputs `[time, rows, ...]`: the action distribution's parameters, and `value` where it was asked for."""
        dtype = params[self._head].dtype
        x = self._encode(ops, params, inputs["observation"], dtype)
        activation = getattr(ops, self.config.activation)
        for layer in range(len(self._sizes) - 1):
            x = activation(ops.linear(x, params[f"trunk.{layer}.weight"], params[f"trunk.{layer}.bias"]))
        if self._core:
            carry = map_tree(lambda memory: ops.astype(memory, dtype), carry)
            x, carry = self._core.apply(ops, params, x, carry, reset)
        return apply_heads(ops, params, self.interface, x, x), carry

    def update_stats(self, ops: Ops, params: Params, inputs: Inputs, weight: Array) -> Params:
        """Bring the running mean and variance of the vector up to date."""
        if not self._normalises:
            return params
        before = self._moments(params)
        parts = parts_of(self.interface.observation, inputs["observation"])
        moments = moments_update(ops, before, encode_leaves(ops, self._vector, parts, before["mean"].dtype), weight)
        return params | {_STATS + name: value for name, value in moments.items()}

    def _encode(self, ops: Ops, params: Params, observation: Tree, dtype: Dtype) -> Array:
        parts = parts_of(self.interface.observation, observation)
        features = [image.apply(ops, params, parts[image.leaf.name], dtype) for image in self._images]
        if self._vector:
            x = encode_leaves(ops, self._vector, parts, dtype)
            if self._normalises:
                x = normalise(ops, self._moments(params), x, clip=self.config.observation_clip)
            features.append(x)
        return features[0] if len(features) == 1 else ops.concat(features, axis=2)

    def _moments(self, params: Params) -> dict[str, Array]:
        return {name: params[_STATS + name] for name in ("mean", "variance", "count")}
