"""Cases of policies: what each puts out, step after step with resets, and how that changes with every parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from puffer_core.arrays import Tree, is_trainable, map_tree, named_leaves
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Policy, PolicyInterface
from puffer_core.spaces.layout import Layout
from puffer_testing.backend_cases import OpCase
from puffer_testing.components import build, host
from puffer_testing.inputs import sampled_inputs

STEPS, ROWS = 4, 2
IMAGE = Box(0, 255, (5, 4, 2), np.uint8)
VECTOR = Box(-2, 2, (3,))
MIXED = Dict(camera=IMAGE, body=Tuple([Box(-1, 1, (2,)), Discrete(3)]), bits=MultiBinary(2))
ACTION = Dict(move=Discrete(3), force=Box(-1, 1, (2,)))


@dataclass(frozen=True)
class PolicyUse:
    """A registered policy with options, between two spaces.

    Args:
        policy: its name.
        observation: what it sees.
        action: what it decides.
        options: of its config model; small, for its gradient is compared with finite differences.
        id: of the case; the name unless told.
    """

    policy: str
    observation: Space[Any] = field(default_factory=lambda: VECTOR)
    action: Space[Any] = field(default_factory=lambda: Discrete(3))
    options: dict[str, Any] = field(default_factory=dict)
    id: str = ""

    @cached_property
    def made(self) -> Policy:
        """The policy."""
        observation, action = Layout.of(self.observation), Layout.of(self.action)
        policy: Policy = build(
            "policy", self.policy, self.options, PolicyInterface(observation=observation, action=action)
        )
        return policy

    @cached_property
    def arguments(self) -> tuple[Any, Any, Any, Any]:
        """Parameters, inputs, carry and resets; biases and memories are not the zeros that they start as."""
        generator = np.random.default_rng(0)
        policy = self.made
        params = {
            name: value + 0.1 * generator.standard_normal(value.shape) if is_trainable(name) else value
            for name, value in policy.init(generator).items()
        }
        carry = map_tree(lambda x: 0.5 * generator.standard_normal(x.shape), policy.initial_carry(ROWS))
        reset = generator.random((STEPS, ROWS)) < 0.3
        return params, sampled_inputs(policy, STEPS, ROWS), carry, reset


@dataclass(frozen=True)
class TreeCase(OpCase):
    """A function of trees of arrays, taken leaf by leaf; nothing is built before a test asks for it."""

    arguments: Callable[[], tuple[Any, ...]] = tuple
    has_gradient = True

    def draw(self, dtype: type[np.floating[Any]]) -> tuple[np.ndarray, ...]:
        """Every array of the arguments, in the order of their names."""
        leaves = (np.asarray(leaf) for _, leaf in named_leaves(self.arguments()))
        return tuple(leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf for leaf in leaves)


def tree_case(op: str, fn: Callable[..., Tree], arguments: Callable[[], tuple[Any, ...]], *, id: str = "") -> OpCase:
    """A case of `fn(ops, *arguments())`, whose arguments are trees; differentiable in every float among them."""

    def flat(ops: Ops, *arrays: Any) -> Tree:
        given = iter(arrays)
        return fn(ops, *map_tree(lambda _: next(given), arguments()))

    return TreeCase(id=id or op, op=op, fn=flat, inputs=(), arguments=arguments)


def _policy_case(use: PolicyUse) -> OpCase:
    def fn(ops: Ops, params: Any, inputs: Any, carry: Any, reset: Any) -> Tree:
        return use.made.apply(ops, params, inputs, carry, reset, None)

    return tree_case(use.policy, fn, lambda: use.arguments, id=use.id or use.policy)


USES = (
    PolicyUse("mlp", options={"hidden_sizes": [5]}),
    PolicyUse("mlp", Dict(a=VECTOR, b=Discrete(3), c=MultiBinary(2)), ACTION,
              {"hidden_sizes": [4, 3], "activation": "silu", "shared": True, "normalize_observation": True},
              "mlp-nested"),
    PolicyUse("cnn", IMAGE, MultiDiscrete([2, 3]), {"layer_sizes": [4]}),
    PolicyUse("cnn", MIXED, Box(-1, 1, (2,)), {"encoder": "impala", "layer_sizes": []}, "cnn-impala"),
    PolicyUse("lstm", options={"hidden_size": 4, "layer_sizes": [3], "activation": "gelu"}),
    PolicyUse("gru", MIXED, MultiBinary(2), {"hidden_size": 3, "normalize_observation": True}, "gru-pixels"),
    PolicyUse("mingru", options={"hidden_size": 4, "layer_sizes": [3], "depth": 2}),
)  # fmt: skip
"""Every policy of puffer-policies, each encoder and each kind of action at least once."""


def policy_cases(*uses: PolicyUse) -> tuple[OpCase, ...]:
    """A case for each use of a policy that is installed; `USES` where none is named.

    Example:
        >>> [case.id for case in policy_cases(PolicyUse("mlp", options={"hidden_sizes": [8]}))]
        ['mlp']
    """
    installed = {provided.spec.name for provided in host().provided("policy")}
    return tuple(
        _policy_case(use) for use in uses or USES if use.policy.partition("@")[0] in installed or ":" in use.policy
    )
