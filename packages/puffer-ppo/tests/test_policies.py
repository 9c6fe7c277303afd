"""PPO over every policy there is, on native envs: it learns from them without knowing which it has."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from puffer_core.arrays import map_tree
from puffer_core.config import resolve
from puffer_core.contracts.checkpointable import State
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext

SMALL = {"horizon": 8, "minibatches": 2, "epochs": 2, "vector": {"num_envs": 4}}
PIXELS = {"env": {"size": 3, "scale": 1}}
BLIND = {"env": {"velocities": False}}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.discover()


@pytest.mark.parametrize("policy", ["mlp", "cnn", "lstm", "gru", "mingru"])
@pytest.mark.parametrize(("env", "more"), [("cartpole", BLIND), ("gridworld", PIXELS)])
def test_it_learns_from_every_policy(host: PluginHost, policy: str, env: str, more: State) -> None:
    plan = resolve(host, "ppo", env, overrides=SMALL | more | {"policy": policy}, environ={})
    with closing(RunContext(plan, host)) as context:
        trainer = context.trainer()
        before = map_tree(np.array, trainer.state_dict()["params"])
        metrics = [trainer.update() for _ in range(3)]
        after = trainer.state_dict()["params"]
    assert all(np.isfinite(np.asarray(found["loss/total"])).all() for found in metrics)
    assert all((before[name] != after[name]).any() for name in before if name.endswith("weight"))
