"""Seconds to a solved CartPole-v1 for Puffer's PPO with its defaults: discovery, options, metrics file and all."""

from __future__ import annotations

import importlib.metadata
import time
from pathlib import Path

from stopwatch import answer, settings

from puffer_core.config import resolve
from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.jsonl import JsonlLogger
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext, make_env


def main() -> None:
    asked = settings()
    host = PluginHost.discover()
    flags = ["--seed", str(asked["seed"]), "--total-steps", str(asked["total_steps"]), *asked.get("flags", [])]
    context = RunContext(resolve(host, "ppo", asked["env"], argv=flags), host)
    trainer = context.trainer()
    log = JsonlLogger()
    info = {"trainer": "ppo", "source": asked["env"], "config": context.plan.tree, "unit": trainer.unit}
    log.open(RunInfo(id="solve", directory=Path.cwd(), **info), None)
    figures = train(asked, host, context, trainer, log)
    log.close()
    answer(**figures, version=importlib.metadata.version("puffer-ppo"), torch=importlib.metadata.version("torch"))


def train(asked, host, context, trainer, log) -> dict[str, float | None]:
    """Update until solved; evaluations, greedy and in Gymnasium's own CartPole-v1, are off the clock."""
    evaluating, mean_return = 0.0, float("nan")
    while True:
        metrics = trainer.update() | context.collects.metrics()
        log.log(trainer.progress, metrics)
        ended = trainer.progress >= asked["total_steps"]
        if not (ended or triggered(metrics, context.env.rows, asked["trigger"])):
            continue
        at = time.time()
        mean_return = evaluate(host, context, trainer.agent, asked["seed"] + 1000)
        solved = mean_return >= asked["goal"]
        if solved or ended:
            seconds = at - asked["started"] - evaluating if solved else None
            return {"seconds": seconds, "steps": trainer.progress, "mean_return": mean_return}
        evaluating += time.time() - at


def triggered(metrics, rows: int, trigger: float) -> bool:
    return metrics["episode/count"] >= max(100, 2 * rows) and metrics["episode/return_recent"] >= trigger


def evaluate(host, context, agent, seed: int) -> float:
    """Mean return of 100 greedy episodes."""
    from puffer_core.evaluation import evaluate as play

    env = make_env(host, host.find_env("gymnasium:CartPole-v1"), {}, VectorConfig(num_envs=20))
    try:
        return play(agent, context.backend, env, episodes=100, seed=seed).mean_return
    finally:
        env.close()


main()
