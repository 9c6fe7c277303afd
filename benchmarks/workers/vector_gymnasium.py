"""Gymnasium's vector envs, and the plain loop over single envs that every batch is measured against."""

from __future__ import annotations

import gymnasium
from busy_env import maker
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stopwatch import answer, settings
from vector_loop import rate


def loop(asked: dict) -> float:
    """No batch at all: nothing is stacked, copied or checked."""
    envs = [maker(asked)() for _ in range(asked["rows"])]
    for i, env in enumerate(envs):
        env.reset(seed=i)

    def step(actions) -> None:
        for env, action in zip(envs, actions, strict=True):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return rate(step, asked)


def main() -> None:
    asked = settings()
    version = gymnasium.__version__
    if asked["kind"] == "loop":
        answer(rate=loop(asked), version=version)
        return
    if asked["kind"] == "native":
        env = gymnasium.make_vec("CartPole-v1", asked["rows"], vectorization_mode="vector_entry_point")
    else:
        kind = {"sync": SyncVectorEnv, "async": AsyncVectorEnv}[asked["kind"]]
        env = kind([maker(asked)] * asked["rows"], autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    found = rate(env.step, asked)
    env.close()
    answer(rate=found, version=version)


if __name__ == "__main__":
    main()
