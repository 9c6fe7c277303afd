"""PPO over nested spaces: one joint ratio, masks and inactive rows out of the gradient, and learning."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core.arrays import map_tree
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.distributions import action_distribution, head_sizes
from puffer_core.numpy_backend import numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_policies import Mlp, MlpConfig
from puffer_ppo.config import PpoConfig
from puffer_ppo.loss import ppo_loss
from puffer_ppo.update import update

ACTION = Dict(move=Discrete(3), force=Box(-1, 1, (1,)), more=Tuple([MultiBinary(2), MultiDiscrete([2, 3])]))


class Table:
    """A policy whose parameters are its outputs, one row each."""

    def __init__(self, action: gymnasium.Space[Any]) -> None:
        self.interface = PolicyInterface(observation=Layout.of(Box(-1, 1, (1,))), action=Layout.of(action))
        self.inputs = frozenset({"observation"})

    def init(self, rng: np.random.Generator, rows: int = 6) -> dict[str, np.ndarray]:
        sizes = head_sizes(self.interface.action)
        sizes |= {name.replace("mean", "log_std"): size for name, size in sizes.items() if name.startswith("mean")}
        return {name: rng.normal(size=(1, rows, size)) for name, size in sizes.items()} | {"value": np.zeros((1, rows))}

    def initial_carry(self, rows: int) -> Any:
        return ()

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        return dict(params), carry


@pytest.fixture
def backend() -> TorchBackend:
    return TorchBackend(TorchConfig(device="cpu", threads=1))


def batch(policy: Any, params: Any, mask: np.ndarray | None = None, rows: int = 6, **changes: Any) -> Any:
    rng = np.random.default_rng(0)
    action = action_distribution(numpy_ops, policy.interface.action, params, mask).sample(rng)
    inputs = {"observation": np.zeros((1, rows, 1))} | ({} if mask is None else {"action_mask": mask})
    return {
        "inputs": inputs,
        "reset": np.zeros((1, rows), bool),
        "action": action,
        "log_prob": np.full((1, rows), -4.0),
        "value": np.zeros((1, rows)),
        "advantage": rng.normal(size=(1, rows)),
        "target": rng.normal(size=(1, rows)),
        "weight": np.ones((1, rows)),
    } | changes


def gradient(backend: TorchBackend, policy: Any, params: Any, transitions: Any, **config: Any) -> Any:
    loss = partial(ppo_loss, policy=policy, config=PpoConfig(clip=1e9, **config))
    step = backend.compile(lambda ops, p, b: ops.value_and_grad(lambda p, b: loss(ops, p, b, ()))(p, b))
    (value, _), gradients = backend.to_numpy(step(backend.to_device(params), backend.to_device(transitions)))
    return float(value), gradients


def test_the_joint_ratio_is_that_of_the_summed_log_probabilities() -> None:
    policy = Table(Dict(move=Discrete(3), force=Box(-1, 1, (2,))))
    params = {
        "logits.move": np.log([[[0.2, 0.3, 0.5]]]),
        "mean.force": np.array([[[1.0, 0.0]]]),
        "log_std.force": np.log([[[2.0, 0.5]]]),
        "value": np.zeros((1, 1)),
    }
    action = {"move": np.array([[1]]), "force": np.array([[[3.0, 1.0]]])}
    density = [math.exp(-0.5) / (2.0 * math.sqrt(2 * math.pi)), math.exp(-2.0) / (0.5 * math.sqrt(2 * math.pi))]
    joint = math.log(0.3) + math.log(density[0]) + math.log(density[1])
    before = joint - math.log(1.5)  # it has become 1.5 times as likely
    ones = np.ones((1, 1))
    transitions = batch(
        policy, params, rows=1, action=action, log_prob=before * ones, advantage=2.0 * ones, target=0.0 * ones
    )
    value, _ = ppo_loss(numpy_ops, params, transitions, (), policy=policy, config=PpoConfig(clip=10.0))
    assert value == pytest.approx(-1.5 * 2.0, abs=1e-12)
    clipped, _ = ppo_loss(numpy_ops, params, transitions, (), policy=policy, config=PpoConfig(clip=0.2))
    assert clipped == pytest.approx(-1.2 * 2.0, abs=1e-12)
    entropy = -sum(p * math.log(p) for p in (0.2, 0.3, 0.5)) + math.log(2 * math.pi * math.e) + math.log(2.0 * 0.5)
    bonus, _ = ppo_loss(numpy_ops, params, transitions, (), policy=policy, config=PpoConfig(entropy_coefficient=1.0))
    assert bonus == pytest.approx(-1.2 * 2.0 - entropy, abs=1e-12)


def test_masked_actions_are_never_taken_and_have_no_gradient(backend: TorchBackend) -> None:
    policy, rows = Table(ACTION), 400
    layout = policy.interface.action
    params = map_tree(lambda x: 8.0 * x, policy.init(np.random.default_rng(2), rows))
    # move: 3 choices; more.0: two bits, 0 then 1 each; more.1: 2 and 3 choices
    mask = np.broadcast_to(np.array([1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1], bool), (1, rows, layout.mask_size))
    transitions = batch(policy, params, mask, rows)
    action = transitions["action"]
    assert set(action["move"].ravel().tolist()) == {0, 2}
    assert action["more.0"].reshape(-1, 2).max(axis=0).tolist() == [0, 1]
    assert {tuple(pair) for pair in action["more.1"].reshape(-1, 2).tolist()} == {
        (a, b) for a in (0, 1) for b in (1, 2)
    }
    distribution = action_distribution(numpy_ops, layout, params, mask)
    for wrong in ({"move": np.ones((1, rows), int)}, {"more.1": np.zeros((1, rows, 2), int)}):
        assert (np.exp(distribution.log_prob(action | wrong)) == 0.0).all()
    _, found = gradient(backend, policy, params, transitions, entropy_coefficient=0.1)
    assert (found["logits.move"][..., 1] == 0.0).all()
    assert (found["logits.more.0"][..., 0] == 0.0).all()  # a bit that the mask decides has nothing to learn
    assert (found["logits.more.1"][..., 2] == 0.0).all()
    assert (found["logits.move"][..., [0, 2]] != 0.0).any()
    assert all(np.isfinite(part).all() for part in found.values())


def test_a_row_with_one_valid_choice_gives_no_gradient(backend: TorchBackend) -> None:
    policy = Table(Discrete(3))
    params = policy.init(np.random.default_rng(3))
    mask = np.ones((1, 6, 3), bool)
    mask[:, ::2] = [True, False, False]
    transitions = batch(policy, params, mask)
    _, found = gradient(backend, policy, params, transitions, entropy_coefficient=0.1)
    assert (found["logits"][:, ::2] == 0.0).all()
    assert (found["logits"][:, 1::2] != 0.0).any()


def nested_rollout(policy: Mlp, steps: int = 6, rows: int = 4) -> Any:
    rng = np.random.default_rng(0)
    lead = (steps, rows)
    layout = policy.interface.observation
    observation = {leaf.name: rng.normal(size=(steps + 1, rows, *leaf.shape)) for leaf in layout.leaves}
    active = rng.random(lead) < 0.7
    reset = np.zeros((steps + 1, rows), bool)
    reset[1:] = ~active
    params = policy.init(rng)
    outputs, _ = policy.apply(numpy_ops, params, {"observation": observation}, (), reset, None)
    taken = map_tree(lambda x: x[:-1], outputs)
    distribution = action_distribution(numpy_ops, policy.interface.action, taken)
    action = distribution.sample(rng)
    return params, {
        "inputs": {"observation": observation},
        "reset": reset,
        "carry": (),
        "action": action,
        "outputs": {"value": taken["value"]},
        "log_prob": distribution.log_prob(action),
        "version": np.ones(lead, np.int64),
        "last_outputs": {"value": outputs["value"][-1]},
        "final_outputs": {"value": np.zeros(lead)},
        "reward": rng.normal(size=lead),
        "terminated": np.zeros(lead, bool),
        "truncated": np.zeros(lead, bool),
        "active": active,
    }


def learn(backend: TorchBackend, policy: Any, params: Any, rollout: Any) -> Any:
    config = PpoConfig(epochs=2, minibatches=2, entropy_coefficient=0.01, normalize_reward=True)
    rule = backend.optimizer(OptimizerConfig(name="adam", epsilon=1e-5))
    step = backend.compile(partial(update, policy=policy, config=config, optimizer=rule))
    stats = {f"stats.reward.{name}": np.array(float(name == "variance")) for name in ("mean", "variance", "count")}
    start = {name: np.asarray(value, np.float64) for name, value in (params | stats).items()}
    given = backend.copy(backend.to_device(start))
    count = rollout["reward"].size
    order = np.stack([np.random.default_rng(i).permutation(count).reshape(2, -1) for i in range(2)])
    data, running, index = backend.to_device((rollout, np.zeros(rollout["reward"].shape[1]), order))
    return backend.to_numpy(step(given, rule.init(given), running, data, index, 0.01))


def test_rows_that_do_not_count_change_no_bit_of_what_is_learned(backend: TorchBackend) -> None:
    interface = PolicyInterface(
        observation=Layout.of(Dict(a=Box(-9, 9, (2,)), b=Box(-9, 9, ()))), action=Layout.of(ACTION)
    )
    policy = Mlp(MlpConfig(hidden_sizes=(8,), normalize_observation=True), interface)
    params, data = nested_rollout(policy)
    dead = ~data["active"]
    assert dead.any()
    expected = learn(backend, policy, params, data)
    rng = np.random.default_rng(9)

    def disturbed(x: np.ndarray) -> np.ndarray:
        changed = x.copy()
        where = dead if len(x) == len(dead) else np.concatenate([dead, np.zeros((1, dead.shape[1]), bool)])
        changed[where] = 0 if x.dtype.kind == "i" else 10.0 * rng.normal(size=x[where].shape)
        return changed

    other = data | {
        "inputs": map_tree(disturbed, data["inputs"]),
        "action": map_tree(disturbed, data["action"]),
        "log_prob": np.where(dead, data["log_prob"] - 1.0, data["log_prob"]),
        "reward": disturbed(data["reward"]),
    }
    found = learn(backend, policy, params, other)
    for got, wanted in zip(found[:3], expected[:3], strict=True):
        map_tree(np.testing.assert_array_equal, got, wanted)


TRAIN = """
import json, puffer_core
options = {"learning_rate": 1e-2, "gamma": 0.5, "horizon": 16, "total_steps": 12000, "vector": {"mode": "serial"}}
run = puffer_core.train("ppo", env="py:levers:Levers", run="run", quiet=True, **options)
evaluation = puffer_core.evaluate(run, episodes=100)
print(json.dumps({"mean_return": evaluation.mean_return, "mean_length": evaluation.mean_length}))
"""


@pytest.mark.learning
@pytest.mark.smoke
def test_a_choice_and_an_amount_are_learned_together(tmp_path: Path) -> None:
    """At least 3.7 of 4 a greedy episode; the right lever with no idea of the amount earns 2.4."""

    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    evaluation = json.loads(done.stdout)
    assert evaluation["mean_return"] >= 3.7
    assert evaluation["mean_length"] == 4.0
