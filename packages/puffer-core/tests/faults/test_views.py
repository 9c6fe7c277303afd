"""W9: a rollout's views are valid until the next one is collected; `poison` shows one that was kept too long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from puffer_core.arrays import map_tree
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.numpy_backend import NumpyBackend
from puffer_testing.driving import chaos_vector_env
from puffer_testing.processes import deadline

HORIZON = 6
STALE = ("observation", "reward", "log_prob", "action")


class Watching:
    """Chooses evenly; and looks, whenever it acts, at the views of a rollout that it should have let go."""

    inputs = frozenset({"observation"})

    def __init__(self, spec: VectorEnvSpec) -> None:
        self.interface = PolicyInterface(observation=spec.observation, action=spec.action)
        self.kept: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []

    def init(self, rng: Any) -> dict[str, Any]:
        return {"w": np.zeros((), np.float32)}

    def initial_carry(self, rows: int) -> Any:
        return ()

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        self.seen.append(map_tree(np.copy, self.kept))
        lead = inputs["observation"].shape[:2]
        value = ops.zeros(lead) + params["w"]
        return {"logits": ops.zeros((*lead, 8)) + params["w"], "value": value}, carry


def views(rollout: Any) -> dict[str, Any]:
    """Of the last step, which the next rollout writes last."""
    parts = {"observation": rollout["inputs"]["observation"], **{name: rollout[name] for name in STALE[1:]}}
    return {name: array[-1] for name, array in parts.items()}


def collected(mode: str, *, poison: bool, kept: int = 0) -> tuple[Watching, list[Any]]:
    """Three rollouts, copied; the policy keeps views of one of them."""
    env = chaos_vector_env({"mode": mode, "num_envs": 3, "workers": int(mode == "process")})
    policy = Watching(env.spec)
    rng = np.random.default_rng(0)
    collector = HostCollector([env], policy, backend=NumpyBackend(), horizon=HORIZON, seed=0, rng=rng, poison=poison)
    rollouts = []
    with closing(collector):
        for number in range(3):
            rollout = collector.collect(policy.init(None))
            rollouts.append(map_tree(np.copy, views(rollout) | {"active": rollout["active"]}))
            policy.kept = views(rollout) if number == kept else policy.kept
    return policy, rollouts


@pytest.mark.parametrize("mode", ["serial", "process"])
def test_a_view_kept_too_long_is_poisoned(mode: str) -> None:
    with deadline(60):
        policy, _ = collected(mode, poison=True)
        during_second = policy.seen[HORIZON + 1]
        for name in STALE:
            array = during_second[name]
            worst = np.isnan(array) if array.dtype.kind == "f" else array == np.iinfo(array.dtype).max
            assert worst.all(), (name, array)


@pytest.mark.faults
def test_every_stale_view_is_poisoned_in_every_mode(injecting: Callable[..., Any]) -> None:
    expected = "with `--vector.poison true` NaN or the largest integer while the next rollout is collected"
    with injecting("W9", "a view of a rollout kept while the next is collected", expected) as row:
        for mode in ("serial", "process"):
            test_a_view_kept_too_long_is_poisoned(mode)
            row.injected += len(STALE)


@pytest.mark.parametrize("mode", ["serial", "process"])
def test_poison_changes_nothing_for_who_keeps_to_the_rule(mode: str) -> None:
    with deadline(60):
        (_, clean), (_, poisoned) = collected(mode, poison=False), collected(mode, poison=True)
    for one, other in zip(clean, poisoned, strict=True):
        for name, array in one.items():
            assert array.tobytes() == other[name].tobytes(), name
