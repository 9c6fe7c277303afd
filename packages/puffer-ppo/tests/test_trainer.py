"""The trainer: its contract, probe environments with known answers, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

import puffer_core
from puffer_core.arrays import map_tree
from puffer_core.config import resolve
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.numpy_backend import numpy_ops
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext
from puffer_ppo import PpoConfig
from puffer_testing import TrainerConformance

SMALL = {"horizon": 8, "minibatches": 2, "epochs": 2, "vector": {"num_envs": 4}}


class TestPpo(TrainerConformance):
    name = "ppo"
    options = SMALL


class TestPpoNormalised(TrainerConformance):
    name = "ppo"
    env = "pendulum"
    options = SMALL | {"normalize_reward": True, "policy": {"normalize_observation": True}}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.discover()


PROBES = {
    "constant": ("probe-constant-reward", 1),
    "observed": ("probe-observation-reward", 1),
    "paid": ("probe-action-reward", 1),
    "paid, batches": ("probe-action-reward", 2),
}
TRAIN = """
import json, sys
import puffer_core
for name, (env, batches) in json.loads(sys.argv[1]).items():
    options = {"horizon": 16, "learning_rate": 1e-2, "gamma": 0.9, "total_steps": 5000}
    vector = {"num_envs": 16, "batches": batches}
    puffer_core.train("ppo", env=env, run=name, quiet=True, vector=vector, **options)
"""


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Train on every probe env, in one process without the checks of tests; gives a run's policy and mean return."""
    runs = tmp_path_factory.mktemp("probes")
    subprocess.run([sys.executable, "-c", TRAIN, json.dumps(PROBES)], check=True, capture_output=True, cwd=runs)

    def found(name: str):
        return puffer_core.load_policy(runs / name), puffer_core.evaluate(runs / name, episodes=100).mean_return

    return found


def value_of(policy, observation: float) -> float:
    """The critic's estimate."""
    inputs = {"observation": np.full((1, 1, 1), observation, np.float32)}
    agent = policy.agent
    outputs, _ = agent.policy.apply(numpy_ops, agent.params, inputs, (), np.ones((1, 1), bool), None)
    return float(outputs["value"][0, 0])


@pytest.mark.smoke
@pytest.mark.learning
def test_a_constant_reward_is_its_value(learned):
    policy, mean_return = learned("constant")
    assert mean_return == 1.0
    assert value_of(policy, 0.0) == pytest.approx(1.0, abs=0.02)


@pytest.mark.smoke
@pytest.mark.learning
def test_a_reward_that_depends_on_the_observation_is_its_value(learned):
    policy, _ = learned("observed")
    assert value_of(policy, 1.0) == pytest.approx(1.0, abs=0.05)
    assert value_of(policy, -1.0) == pytest.approx(-1.0, abs=0.05)


@pytest.mark.smoke
@pytest.mark.learning
@pytest.mark.parametrize("name", ["paid", "paid, batches"])
def test_the_action_that_pays_is_taken(learned, name):
    _, mean_return = learned(name)
    assert mean_return == 1.0


@pytest.mark.parametrize("batches", [1, 2])
def test_poison_changes_no_bit_of_what_is_learned(host, batches):
    learned = []
    for poison in (False, True):
        vector = {"num_envs": 4, "batches": batches, "poison": poison}
        options = SMALL | {"vector": vector, "policy": {"normalize_observation": True}}
        with closing(RunContext(resolve(host, "ppo", "pendulum", overrides=options, environ={}), host)) as context:
            trainer = context.trainer()
            for _ in range(3):
                trainer.update()
            learned.append(trainer.state_dict())
    map_tree(np.testing.assert_array_equal, *learned)


@pytest.mark.parametrize("num_envs", [1, 5])
def test_environments_that_cannot_be_halved_are_refused(host, num_envs):
    options = SMALL | {"vector": {"num_envs": num_envs, "batches": 2}}
    with closing(RunContext(resolve(host, "ppo", "cartpole", overrides=options, environ={}), host)) as context:
        with pytest.raises(UsageError, match=f"num-envs {num_envs} cannot be shared out") as refused:
            context.trainer()
        assert refused.value.exit_code == 2


def test_more_minibatches_than_transitions_are_refused(host):
    plan = resolve(host, "ppo", "cartpole", overrides={"horizon": 2, "minibatches": 128}, environ={})
    with closing(RunContext(plan, host)) as context, pytest.raises(UsageError, match="--minibatches"):
        context.trainer()


def test_parameters_of_another_policy_are_refused(host):
    states = []
    for sizes in ([8], [16]):
        plan = resolve(host, "ppo", "cartpole", overrides=SMALL | {"policy": {"hidden_sizes": sizes}}, environ={})
        with closing(RunContext(plan, host)) as context:
            trainer = context.trainer()
            states.append((trainer, trainer.state_dict()))
    with pytest.raises(
        CheckpointError, match=r"actor\.0\.bias: the checkpoint has float32 \(16,\), this run has float32 \(8,\)"
    ):
        states[0][0].load_state_dict(states[1][1])


def test_the_learning_rate_falls_to_nothing(host):
    plan = resolve(host, "ppo", "cartpole", overrides=SMALL | {"total_steps": 64}, environ={})
    with closing(RunContext(plan, host)) as context:
        trainer = context.trainer()
        rates = [trainer.update()["learning_rate"] for _ in range(2)]
    assert rates == pytest.approx([PpoConfig().learning_rate, PpoConfig().learning_rate / 2])
