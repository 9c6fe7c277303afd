"""PPO's loss over every kind of action, on every engine that trains: values, and gradients in all that it reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space

from puffer_core.contracts.policy import PolicyInterface
from puffer_core.distributions import action_distribution, head_sizes
from puffer_core.numpy_backend import numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_ppo.config import PpoConfig
from puffer_ppo.loss import ppo_loss
from puffer_testing import ParityConformance, tree_case

ROWS = 6
SPACES: dict[str, Space[Any]] = {
    "discrete": Discrete(3),
    "choices": MultiDiscrete([2, 3]),
    "bits": MultiBinary(2),
    "box": Box(-1, 1, (2,)),
    "nested": Dict(move=Discrete(3), force=Box(-1, 1, (1,)), bits=MultiBinary(2)),
}
CONFIGS = {"": PpoConfig(entropy_coefficient=0.1), "-clipped": PpoConfig(clip=0.05, value_clip=0.1)}


class Table:
    """A policy whose parameters are its outputs, one row each."""

    def __init__(self, action: Space[Any]) -> None:
        self.interface = PolicyInterface(observation=Layout.of(Box(-1, 1, (1,))), action=Layout.of(action))

        self.inputs = frozenset({"observation"})

    def init(self, rng: np.random.Generator) -> Any:
        return arguments(self.interface.action)[0]

    def initial_carry(self, rows: int) -> Any:
        return ()

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        return dict(params), carry


def arguments(action: Layout) -> tuple[Any, Any]:
    """Parameters and a batch."""
    rng = np.random.default_rng(0)
    sizes = head_sizes(action)
    sizes |= {name.replace("mean", "log_std"): size for name, size in sizes.items() if name.startswith("mean")}
    params = {name: rng.normal(size=(1, ROWS, size)) for name, size in sizes.items()}
    distribution = action_distribution(numpy_ops, action, params)
    taken = distribution.sample(rng)
    numbers = {name: rng.normal(size=(1, ROWS)) for name in ("value", "advantage", "target")}
    return params | {"value": rng.normal(size=(1, ROWS))}, {
        "inputs": {"observation": np.zeros((1, ROWS, 1))},
        "reset": np.zeros((1, ROWS), bool),
        "action": taken,
        "log_prob": distribution.log_prob(taken) + 0.2 * rng.normal(size=(1, ROWS)),
        "weight": rng.uniform(0.5, 1.5, (1, ROWS)),
        **numbers,
    }


def case(name: str, variant: str) -> Any:
    policy = Table(SPACES[name])
    loss: Callable[..., Any] = partial(ppo_loss, policy=policy, config=CONFIGS[variant])
    given = partial(arguments, policy.interface.action)
    return tree_case("ppo_loss", lambda ops, *given: loss(ops, *given, ())[0], given, id=name + variant)


CASES = (*(case(name, "") for name in SPACES), case("discrete", "-clipped"))


@pytest.mark.skipif(not find_spec("puffer_backend_torch"), reason="not installed")
class TestTorch(ParityConformance):
    name = "torch"
    options = {"device": "cpu"}
    cases = CASES


@pytest.mark.skipif(not find_spec("puffer_backend_jax"), reason="not installed")
@pytest.mark.usefixtures("compiled_fast")
class TestJax(ParityConformance):
    name = "jax"
    options = {"device": "cpu", "cache": False}
    cases = CASES
