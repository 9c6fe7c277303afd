"""Seconds to a solved CartPole-v1 for Stable-Baselines3's PPO, with the RL Zoo's hyperparameters for it."""

from __future__ import annotations

import time

import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stopwatch import answer, settings

ENVS = 8


class Solved(BaseCallback):
    """Evaluates greedily, off the clock, while the recent training returns say that it may be solved."""

    def __init__(self, asked: dict) -> None:
        super().__init__()
        self.asked = asked
        self.evaluating = 0.0
        self.mean_return = float("nan")
        self.seconds: float | None = None

    def _on_rollout_start(self) -> None:
        recent = [episode["r"] for episode in self.model.ep_info_buffer]
        if len(recent) == self.model.ep_info_buffer.maxlen and np.mean(recent) >= self.asked["trigger"]:
            self.evaluate()

    def _on_training_end(self) -> None:
        if self.seconds is None:
            self.evaluate()

    def _on_step(self) -> bool:
        return self.seconds is None

    def evaluate(self) -> None:
        at = time.time()
        env = make_vec_env("CartPole-v1", n_envs=20, seed=self.asked["seed"] + 1000)
        self.mean_return, _ = evaluate_policy(self.model, env, n_eval_episodes=100, deterministic=True)
        if self.mean_return >= self.asked["goal"]:
            self.seconds = at - self.asked["started"] - self.evaluating
        self.evaluating += time.time() - at


def main() -> None:
    asked = settings()
    torch.set_num_threads(asked["threads"])
    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=ENVS, seed=asked["seed"]),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: 1e-3 * left,
        clip_range=lambda left: 0.2 * left,
        seed=asked["seed"],
        stats_window_size=max(100, 2 * ENVS),
        device="cpu",
    )
    solved = Solved(asked)
    model.learn(asked["total_steps"], callback=solved)
    figures = {"seconds": solved.seconds, "steps": model.num_timesteps, "mean_return": float(solved.mean_return)}
    answer(**figures, version=stable_baselines3.__version__, torch=torch.__version__)


main()
