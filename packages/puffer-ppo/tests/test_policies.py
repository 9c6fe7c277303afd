"""PPO over every policy and kind of env there is, on every engine: it learns without knowing which it has."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.arrays import map_tree
from puffer_core.config import resolve
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext

SMALL: dict[str, Any] = {"horizon": 8, "minibatches": 2, "epochs": 2, "vector": {"num_envs": 4}}
PIXELS: dict[str, Any] = {"env": {"size": 3, "scale": 1}}
BLIND: dict[str, Any] = {"env": {"velocities": False}}
MEMORY: dict[str, Any] = {"hidden_size": 8, "layer_sizes": [8]}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp": ("cartpole", {"policy": {"name": "mlp", "hidden_sizes": [8]}}),
    "cnn": ("gridworld", PIXELS | {"policy": {"name": "cnn", "layer_sizes": [8]}}),
    "lstm": ("cartpole", BLIND | {"policy": {"name": "lstm", **MEMORY}}),
    "gru-pixels": ("gridworld", PIXELS | {"policy": {"name": "gru", **MEMORY}}),
    "mingru-box": ("pendulum", {"policy": {"name": "mingru", **MEMORY, "normalize_observation": True}}),
    "nested-masked": ("py:workshop:Workshop", {"policy": {"name": "mlp", "hidden_sizes": [8]}}),
    "gymnasium": ("CartPole-v1", {"policy": {"name": "mlp", "hidden_sizes": [8]}}),
    "multi-agent": ("mpe2:simple_spread_v3", {"policy": {"name": "mlp", "hidden_sizes": [8]}}),
}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.discover()


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The name of one; JAX compiles quickly, for its small programs run three times each."""
    name = request.param
    pytest.importorskip(f"puffer_backend_{name}")
    if name == "jax":
        request.getfixturevalue("compiled_fast")
    return name


@pytest.mark.parametrize("engine", ["jax", "torch"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_it_learns_from_every_policy_and_env(
    host: PluginHost, case: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    env, more = CASES[case]
    if ":" in env and not env.startswith("py:"):
        pytest.importorskip(env.partition(":")[0])
    plan = resolve(
        host, "ppo", env, overrides=SMALL | more | {"backend": {"name": engine, "device": "cpu"}}, environ={}
    )
    with closing(RunContext(plan, host)) as context:
        trainer = context.trainer()
        before = map_tree(np.array, trainer.state_dict()["params"])
        metrics = [trainer.update() for _ in range(3)]
        after = trainer.state_dict()["params"]
    assert all(np.isfinite(np.asarray(found["loss/total"])).all() for found in metrics)
    assert all(found["update/skipped"] == 0 for found in metrics)
    assert all((before[name] != after[name]).any() for name in before if name.endswith("weight"))
