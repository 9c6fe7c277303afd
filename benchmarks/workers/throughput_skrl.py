"""skrl's PPO on gymnasium's own NumPy batch of CartPole-v1, the fastest env that it can use; nothing is logged."""

from __future__ import annotations

import importlib.metadata

import gymnasium
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from stopwatch import Stopwatch, answer, settings
from torch import nn


def network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


class Actor(CategoricalMixin, Model):
    def __init__(self, **spaces) -> None:
        Model.__init__(self, **spaces)
        CategoricalMixin.__init__(self)
        self.network = network(self.num_observations, self.num_actions)

    def compute(self, inputs, role):
        return self.network(inputs["observations"]), {}


class Critic(DeterministicMixin, Model):
    def __init__(self, **spaces) -> None:
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.network = network(self.num_observations, 1)

    def compute(self, inputs, role):
        return self.network(inputs["observations"]), {}


class Done(Exception):  # noqa: N818  no error: it ends skrl's loop
    pass


class TimedPpo(PPO):
    stopwatch: Stopwatch
    env_steps = 0
    steps_an_update = 0

    def update(self, **when) -> None:
        super().update(**when)
        self.env_steps += self.steps_an_update
        if self.stopwatch.boundary(self.env_steps):
            raise Done


def main() -> None:
    asked = settings()
    torch.set_num_threads(asked["threads"])
    envs, horizon = asked["envs"], asked["horizon"]
    env = wrap_env(gymnasium.make_vec("CartPole-v1", envs, vectorization_mode="vector_entry_point"))
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space, "device": "cpu"}
    cfg = PPO_CFG(rollouts=horizon, learning_epochs=4, mini_batches=4, learning_rate=3e-4, value_clip=0.0)
    cfg.experiment.write_interval = 0
    cfg.experiment.checkpoint_interval = 0
    agent = TimedPpo(
        models={"policy": Actor(**spaces), "value": Critic(**spaces)},
        memory=RandomMemory(memory_size=horizon, num_envs=envs, device="cpu"),
        cfg=cfg,
        **spaces,
    )
    agent.steps_an_update = envs * horizon
    agent.stopwatch = Stopwatch(asked["warm_up"], asked["seconds"])
    trainer = SequentialTrainer(
        env=env, agents=agent, cfg={"timesteps": 10**8, "headless": True, "disable_progressbar": True}
    )
    try:
        trainer.train()
    except Done:
        answer(rate=agent.stopwatch.rate, version=importlib.metadata.version("skrl"), torch=torch.__version__)


main()
