"""The trainer: its contract, probe environments with known answers, and what it refuses."""

from __future__ import annotations

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


PROBE = [
    "--horizon",
    "16",
    "--learning-rate",
    "1e-2",
    "--gamma",
    "0.9",
    "--vector.num-envs",
    "16",
    "--total-steps",
    "15000",
]


@pytest.fixture
def learn(tmp_path):
    """Train on a probe env in a process of its own, as users do; gives the run's policy and its mean return."""

    def learn(env: str, *options: str):
        run = tmp_path / "run"
        command = [
            sys.executable,
            "-m",
            "puffer_core",
            "train",
            "ppo",
            env,
            *PROBE,
            "--run",
            str(run),
            "--quiet",
            *options,
        ]
        subprocess.run(command, check=True, capture_output=True)
        return puffer_core.load_policy(run), puffer_core.evaluate(run, episodes=100).mean_return

    return learn


def value_of(policy, observation: float) -> float:
    """The critic's estimate."""
    inputs = {"observation": np.full((1, 1, 1), observation, np.float32)}
    agent = policy.agent
    outputs, _ = agent.policy.apply(numpy_ops, agent.params, inputs, (), np.ones((1, 1), bool), None)
    return float(outputs["value"][0, 0])


@pytest.mark.smoke
@pytest.mark.learning
def test_a_constant_reward_is_its_value(learn):
    policy, mean_return = learn("probe-constant-reward")
    assert mean_return == 1.0
    assert value_of(policy, 0.0) == pytest.approx(1.0, abs=0.02)


@pytest.mark.smoke
@pytest.mark.learning
def test_a_reward_that_depends_on_the_observation_is_its_value(learn):
    policy, _ = learn("probe-observation-reward")
    assert value_of(policy, 1.0) == pytest.approx(1.0, abs=0.05)
    assert value_of(policy, -1.0) == pytest.approx(-1.0, abs=0.05)


@pytest.mark.smoke
@pytest.mark.learning
@pytest.mark.parametrize("batches", ["1", "2"])
def test_the_action_that_pays_is_taken(learn, batches):
    _, mean_return = learn("probe-action-reward", "--vector.batches", batches)
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
