"""PPO's update on JAX and on torch: the same numbers from the same weights and batch, traced once."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core.arrays import map_tree, named_leaves
from puffer_core.config import resolve
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.layout import Layout
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext
from puffer_policies import Mlp, MlpConfig
from puffer_ppo import update as ppo
from puffer_ppo.config import PpoConfig
from puffer_testing.components import build

STEPS, ROWS = 8, 4
OPTIONS: dict[str, Any] = {
    "horizon": 16,
    "epochs": 2,
    "minibatches": 2,
    "normalize_reward": True,
    "policy": {"hidden_sizes": [16], "normalize_observation": True},
    "vector": {"num_envs": 4},
    "eval_episodes": 2,
}
ENGINES = ("jax", "torch")


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.discover(third_party=False, environ={})


def policy() -> Mlp:
    box = gymnasium.spaces.Box(-np.inf, np.inf, (3,))
    interface = PolicyInterface(observation=Layout.of(box), action=Layout.of(gymnasium.spaces.Discrete(3)))
    return Mlp(MlpConfig(hidden_sizes=(8,), normalize_observation=True), interface)


def rollout() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lead = (STEPS, ROWS)
    ended = rng.random(lead) < 0.3
    truncated = ended & (rng.random(lead) < 0.5)
    return {
        "inputs": {"observation": rng.normal(size=(STEPS + 1, ROWS, 3))},
        "reset": np.concatenate([np.zeros((1, ROWS), bool), ended]),
        "carry": (),
        "action": rng.integers(0, 3, lead),
        "outputs": {"value": rng.normal(size=lead)},
        "log_prob": np.log(rng.uniform(0.2, 0.5, lead)),
        "last_outputs": {"value": rng.normal(size=ROWS)},
        "final_outputs": {"value": np.where(truncated, rng.normal(size=lead), 0.0)},
        "reward": rng.normal(size=lead),
        "terminated": ended & ~truncated,
        "truncated": truncated,
        "active": np.ones(lead, bool),
    }


def learned(engine: str, optimizer: str, dtype: type) -> Any:
    """What one update with four epochs makes of the same weights and batch, in one precision."""
    backend = build("backend", engine, {"device": "cpu"})
    which, rule = policy(), backend.optimizer(OptimizerConfig(name=optimizer))
    fn = partial(ppo.update, policy=which, config=PpoConfig(minibatches=2), optimizer=rule)
    params, transitions = map_tree(
        lambda x: x.astype(dtype) if x.dtype.kind == "f" else x, (which.init(np.random.default_rng(0)), rollout())
    )
    rng = np.random.default_rng(1)
    order = np.stack([rng.permutation(STEPS * ROWS).reshape(2, -1) for _ in range(4)])
    params = backend.copy(backend.to_device(params))
    rest = backend.to_device((np.zeros(ROWS, dtype), transitions, order))
    return backend.to_numpy(backend.compile(fn, consumes=(0, 1, 2))(params, rule.init(params), *rest, 0.01))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_update_gives_the_same_on_both_engines_in_float64(optimizer: str) -> None:
    ours, theirs = (learned(engine, optimizer, np.float64) for engine in ENGINES)
    expected = dict(named_leaves(theirs))
    for name, value in named_leaves(ours):
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-9, err_msg=name)
        assert value.dtype == expected[name].dtype or value.shape == (), name


def test_an_update_in_float32_stays_in_float32() -> None:
    params, state, running, metrics = learned("jax", "adam", np.float32)
    floats = [x for _, x in named_leaves((params, state, running, metrics)) if x.dtype.kind == "f"]
    assert {x.dtype for x in floats} == {np.dtype(np.float32)}


def context(host: PluginHost, engine: str) -> RunContext:
    return RunContext(
        resolve(host, "ppo", "cartpole", overrides={**OPTIONS, "total_steps": 256, "backend": engine}), host
    )


def test_updates_are_traced_once(host: PluginHost, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = []

    def counted(*arguments: Any, **keywords: Any) -> Any:
        traces.append(1)
        return ppo.update(*arguments, **keywords)

    monkeypatch.setattr("puffer_ppo.trainer.update", counted)
    run = context(host, "jax")
    try:
        trainer = run.trainer()
        rates = [trainer.update()["learning_rate"] for _ in range(4)]
    finally:
        run.close()
    assert len(set(rates)) == 4
    assert len(traces) == 1
