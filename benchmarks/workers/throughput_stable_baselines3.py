"""Stable-Baselines3's PPO on CartPole-v1 in its own DummyVecEnv, which is its fastest for so cheap an env."""

from __future__ import annotations

import stable_baselines3
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stopwatch import Stopwatch, answer, settings


class Timing(BaseCallback):
    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self.stopwatch = stopwatch

    def _on_rollout_start(self) -> None:
        self.stopwatch.boundary(self.num_timesteps)

    def _on_step(self) -> bool:
        return self.stopwatch.rate is None


def main() -> None:
    asked = settings()
    torch.set_num_threads(asked["threads"])
    envs, horizon = asked["envs"], asked["horizon"]
    stopwatch = Stopwatch(asked["warm_up"], asked["seconds"])
    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=envs),
        n_steps=horizon,
        batch_size=envs * horizon // 4,
        n_epochs=4,
        learning_rate=3e-4,
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}, "activation_fn": torch.nn.Tanh},
        device="cpu",
    )
    model.learn(10**9, callback=Timing(stopwatch))
    answer(rate=stopwatch.rate, version=stable_baselines3.__version__, torch=torch.__version__)


main()
