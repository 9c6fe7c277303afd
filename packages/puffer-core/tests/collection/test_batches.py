"""Batches: their places, their joint spec, and how a configuration is shared out."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Discrete

from puffer_core.collection.batches import divided, joined
from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.errors import EnvError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.spaces.layout import Layout


def team(num_envs: int, actions: int = 2, snapshot: bool = True) -> VectorEnvSpec:
    """Two agents an environment, in groups of their own."""
    choice = Layout.of(Discrete(2))
    return VectorEnvSpec(
        id="team",
        num_envs=num_envs,
        observation=choice,
        action=Layout.of(Discrete(actions)),
        row_env=np.repeat(np.arange(num_envs), 2),
        row_group=np.tile([0, 1], num_envs),
        agents=("a", "b"),
        groups=("a", "b"),
        snapshot=snapshot,
    )


def test_rows_and_environments_are_numbered_on() -> None:
    spec = joined([team(2), team(1, snapshot=False)])
    assert (spec.num_envs, spec.rows, spec.snapshot) == (3, 6, False)
    assert spec.row_env.tolist() == [0, 0, 1, 1, 2, 2]
    assert spec.row_group.tolist() == [0, 1, 0, 1, 0, 1]


def test_batches_of_unlike_spaces_are_refused() -> None:
    with pytest.raises(EnvError, match="its batches differ in action"):
        joined([team(1), team(1, actions=3)])


@pytest.mark.parametrize(
    ("config", "message", "remedy"),
    [
        ({"num_envs": 9}, "num-envs 9 cannot", "num-envs 8 or 10, or --vector.batches 1"),
        ({"num_envs": 1}, "num-envs 1 cannot", "num-envs 2, or --vector.batches 1"),
        ({"num_envs": 8, "workers": 3}, "workers 3 cannot", "workers 2 or 4, or --vector.batches 1"),
        ({"num_envs": 4, "workers": 6}, "6 workers are more than the 4 environments", "workers 4"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_with_the_nearest_that_can(config, message, remedy) -> None:
    with pytest.raises(UsageError, match=message) as error:
        divided(VectorConfig(batches=2, **config), cores=4)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("config", "workers"),
    [({"workers": 6}, 3), ({"workers": 0}, 2), ({"workers": 0, "mode": "serial"}, 0), ({"num_envs": 2}, 1)],
)
def test_each_batch_has_half_of_the_workers(config, workers) -> None:
    halves = divided(VectorConfig(**({"num_envs": 16, "mode": "process", "batches": 2} | config)), cores=4)
    assert [half.workers for half in halves] == [workers, workers]


def test_one_batch_is_left_as_it_is() -> None:
    whole = VectorConfig(num_envs=7)
    assert divided(whole, cores=4) == [whole]
