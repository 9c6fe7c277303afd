"""Batches: vector envs whose rows stand one after another in the same slots.

One batch is the rule. With two, a policy acts in one while workers step the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from puffer_core.contracts.env import VectorEnv, VectorEnvSpec
from puffer_core.errors import EnvError, UsageError
from puffer_core.plan import VectorConfig

_ALIKE = ("observation", "action", "agents", "groups", "group_observation", "group_action", "global_state",
          "action_mask", "cost")  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """A vector env and its place among all rows and environments."""

    env: VectorEnv
    rows: slice
    envs: slice


def joined(specs: Sequence[VectorEnvSpec]) -> VectorEnvSpec:
    """The spec of all rows together; it can give its state where all can.

    Raises:
        EnvError: they differ in more than their number of environments.

    Example:
        >>> from gymnasium.spaces import Discrete
        >>> from puffer_core.spaces.layout import Layout
        >>> choice = Layout.of(Discrete(2))
        >>> half = VectorEnvSpec.single_agent(id="half", num_envs=2, observation=choice, action=choice)
        >>> joined([half, half]).row_env.tolist()
        [0, 1, 2, 3]
    """
    if len(specs) == 1:
        return specs[0]
    for one, other in pairwise(specs):
        for name in _ALIKE:
            if getattr(one, name) != getattr(other, name):
                raise EnvError(f"{one.id}: its batches differ in {name}: {getattr(one, name)}, {getattr(other, name)}")
    before = np.cumsum([0, *(spec.num_envs for spec in specs[:-1])])
    return replace(
        specs[0],
        num_envs=sum(spec.num_envs for spec in specs),
        row_env=np.concatenate([spec.row_env + first for spec, first in zip(specs, before, strict=True)]),
        row_group=np.concatenate([spec.row_group for spec in specs]),
        snapshot=all(spec.snapshot for spec in specs),
        no_snapshot=next((spec.no_snapshot for spec in specs if spec.no_snapshot), ""),
    )


def placed(envs: Sequence[VectorEnv]) -> list[Batch]:
    """The envs with their places, in order."""
    batches, row, first = [], 0, 0
    for env in envs:
        rows, count = env.spec.rows, env.spec.num_envs
        batches.append(Batch(env, slice(row, row + rows), slice(first, first + count)))
        row, first = row + rows, first + count
    return batches


def divided(vector: VectorConfig, cores: int) -> list[VectorConfig]:
    """How each batch is stepped: an equal share of the environments, and of the workers.

    Args:
        vector: how all are stepped.
        cores: that there are, >= 1; shared out where `workers` is 0.

    Raises:
        UsageError: the environments or the workers cannot be shared out; names the nearest numbers that can.

    Example:
        >>> [half.num_envs for half in divided(VectorConfig(num_envs=8, batches=2), cores=2)]
        [4, 4]
        >>> divided(VectorConfig(num_envs=7, batches=2), cores=2)
        Traceback (most recent call last):
        puffer_core.errors.UsageError: --vector.num-envs 7 cannot be shared out over 2 batches
        use --vector.num-envs 6 or 8, or --vector.batches 1
    """
    if vector.batches == 1:
        return [vector]
    envs, workers = vector.num_envs, vector.workers
    if envs % 2:
        raise _cannot_share("num-envs", envs)
    if workers % 2:
        raise _cannot_share("workers", workers)
    if workers > envs:
        raise UsageError(
            f"{workers} workers are more than the {envs} environments", remedy=f"use --vector.workers {envs}"
        )
    share = {"num_envs": envs // 2}
    if vector.mode == "process":
        share["workers"] = workers // 2 or max(1, min(cores // 2, envs // 2))
    return [vector.model_copy(update=share)] * 2


def _cannot_share(option: str, number: int) -> UsageError:
    nearest = "2" if number == 1 else f"{number - 1} or {number + 1}"
    return UsageError(
        f"--vector.{option} {number} cannot be shared out over 2 batches",
        remedy=f"use --vector.{option} {nearest}, or --vector.batches 1",
    )
