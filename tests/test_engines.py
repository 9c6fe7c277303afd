"""PPO's update on JAX and on torch: the same numbers from the same weights and batch, for every policy; traced once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

from puffer_core.arrays import map_tree, named_leaves
from puffer_core.config import resolve
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.policy import Policy, PolicyInterface
from puffer_core.distributions import action_distribution
from puffer_core.normalisers import moments_init
from puffer_core.numpy_backend import numpy_ops
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext
from puffer_core.spaces.layout import Layout
from puffer_ppo import update as ppo
from puffer_ppo.config import PpoConfig
from puffer_testing.components import build

pytestmark = pytest.mark.usefixtures("compiled_fast")
STEPS, ROWS = 6, 4
VECTOR, IMAGE = Box(-2, 2, (3,)), Box(0, 255, (5, 4, 2), np.uint8)
NESTED = Dict(move=Discrete(3), force=Box(-1, 1, (2,)), bits=MultiBinary(2))
REWARD_STATS = {ppo.REWARD_STATS + name: value for name, value in moments_init(()).items()}


@dataclass(frozen=True)
class Use:
    """An update of one policy between two spaces."""

    policy: str
    options: dict[str, Any]
    observation: gymnasium.Space[Any] = field(default_factory=lambda: VECTOR)
    action: gymnasium.Space[Any] = field(default_factory=lambda: Discrete(3))
    optimizer: str = "adam"
    config: dict[str, Any] = field(default_factory=dict)

    def made(self) -> Policy:
        interface = PolicyInterface(observation=Layout.of(self.observation), action=Layout.of(self.action))
        made: Policy = build("policy", self.policy, self.options, interface)
        return made


SMALL: dict[str, Any] = {"hidden_size": 5, "layer_sizes": [4]}
USES = {
    "mlp-sgd": Use("mlp", {"hidden_sizes": [8]}, optimizer="sgd"),
    "mlp-normalised": Use(
        "mlp",
        {"hidden_sizes": [8], "normalize_observation": True},
        config={"normalize_reward": True, "value_clip": 0.2, "entropy_coefficient": 0.01},
    ),
    "mlp-nested-until-kl": Use("mlp", {"hidden_sizes": [8]}, action=NESTED, config={"target_kl": 0.005}),
    "cnn": Use("cnn", {"layer_sizes": [8]}, IMAGE, MultiDiscrete([2, 3])),
    "lstm-box": Use("lstm", SMALL, action=Box(-1, 1, (2,))),
    "gru": Use("gru", SMALL | {"normalize_observation": True}, config={"normalize_reward": True}),
    "mingru": Use("mingru", SMALL | {"depth": 2}),
}


def observed(layout: Layout, rng: np.random.Generator) -> Any:
    lead = (STEPS + 1, ROWS)
    if layout.dtype == np.uint8:
        return rng.integers(0, 256, (*lead, *layout.shape), np.uint8)
    return rng.normal(size=(*lead, *layout.shape))


def rollout(policy: Policy) -> tuple[Any, Any]:
    """Parameters, and what they might have collected a while ago: ratios are near 1, and not all of them at 1."""
    rng = np.random.default_rng(0)
    lead = (STEPS, ROWS)
    ended = rng.random(lead) < 0.3
    truncated = ended & (rng.random(lead) < 0.5)
    reset = np.concatenate([np.zeros((1, ROWS), bool), ended])
    inputs = {"observation": observed(policy.interface.observation, rng)}
    carry = map_tree(lambda x: rng.normal(size=x.shape), policy.initial_carry(ROWS))
    params = {name: value.astype(np.float64) for name, value in policy.init(rng).items()}
    outputs, _ = policy.apply(numpy_ops, params, inputs, carry, reset, None)
    taken = action_distribution(numpy_ops, policy.interface.action, {name: x[:-1] for name, x in outputs.items()})
    action = taken.sample(rng)
    return params, {
        "inputs": inputs,
        "reset": reset,
        "carry": carry,
        "action": action,
        "outputs": {"value": outputs["value"][:-1]},
        "log_prob": taken.log_prob(action) + 0.1 * rng.normal(size=lead),
        "last_outputs": {"value": outputs["value"][-1]},
        "final_outputs": {"value": np.where(truncated, rng.normal(size=lead), 0.0)},
        "reward": rng.normal(size=lead),
        "terminated": ended & ~truncated,
        "truncated": truncated,
        "active": rng.random(lead) < 0.9,
    }


@cache
def learned(engine: str, name: str, dtype: type) -> Any:
    """What one update with three epochs makes of the same weights and batch, in one precision."""
    use = USES[name]
    backend, policy = build("backend", engine, {"device": "cpu"}), use.made()
    rule = backend.optimizer(OptimizerConfig(name=use.optimizer, epsilon=1e-5))
    config = PpoConfig(minibatches=2, epochs=3, **use.config)
    fn = partial(ppo.update, policy=policy, config=config, optimizer=rule)
    params, transitions = rollout(policy)
    params |= REWARD_STATS if config.normalize_reward else {}
    cast = partial(map_tree, lambda x: np.asarray(x, dtype) if np.asarray(x).dtype.kind == "f" else x)
    rng = np.random.default_rng(1)
    sequences = ROWS if transitions["carry"] else STEPS * ROWS
    order = np.stack([rng.permutation(sequences).reshape(2, -1) for _ in range(config.epochs)])
    start = backend.copy(backend.to_device(cast(params)))
    rest = backend.to_device(cast((np.zeros(ROWS), transitions, order)))
    return backend.to_numpy(backend.compile(fn, consumes=(0, 1, 2))(start, rule.init(start), *rest, 0.01))


@pytest.mark.parametrize("name", USES)
def test_an_update_gives_the_same_on_both_engines_in_float64(name: str) -> None:
    ours, theirs = (learned(engine, name, np.float64) for engine in ("jax", "torch"))
    expected, before = dict(named_leaves(theirs)), rollout(USES[name].made())[0]
    for leaf, value in named_leaves(ours):
        np.testing.assert_allclose(value, expected[leaf], rtol=1e-9, atol=1e-9, err_msg=leaf)
        assert value.dtype == expected[leaf].dtype or value.shape == (), leaf
    still = [leaf for leaf, value in before.items() if leaf.endswith("weight") and (ours[0][leaf] == value).all()]
    assert not still, f"not learned: {still}"


def test_learning_stops_where_the_policy_moved_too_far() -> None:
    _, state, *_ = learned("torch", "mlp-nested-until-kl", np.float64)
    assert 2 <= state["adam.step"] < 6, "the case must stop between the first epoch and the last"


def test_an_update_in_float32_stays_in_float32() -> None:
    floats = [x for _, x in named_leaves(learned("jax", "mlp-normalised", np.float32)) if x.dtype.kind == "f"]
    assert {x.dtype for x in floats} == {np.dtype(np.float32)}


def test_updates_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = []

    def counted(*arguments: Any, **keywords: Any) -> Any:
        traces.append(1)
        return ppo.update(*arguments, **keywords)

    monkeypatch.setattr("puffer_ppo.trainer.update", counted)
    host = PluginHost.discover(third_party=False, environ={})
    options = {"horizon": 16, "epochs": 2, "minibatches": 2, "vector": {"num_envs": 4}, "total_steps": 256}
    run = RunContext(resolve(host, "ppo", "cartpole", overrides={**options, "backend": "jax"}), host)
    try:
        trainer = run.trainer()
        rates = [trainer.update()["learning_rate"] for _ in range(4)]
    finally:
        run.close()
    assert len(set(rates)) == 4
    assert len(traces) == 1
