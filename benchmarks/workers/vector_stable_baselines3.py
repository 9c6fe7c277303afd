"""Stable-Baselines3's vector envs, without its Monitor."""

from __future__ import annotations

import stable_baselines3
from busy_env import maker
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from stopwatch import answer, settings
from vector_loop import rate


def main() -> None:
    asked = settings()
    kind = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[asked["kind"]]
    env = kind([maker(asked)] * asked["rows"])
    env.reset()
    found = rate(env.step, asked)
    env.close()
    answer(rate=found, version=stable_baselines3.__version__)


if __name__ == "__main__":
    main()
