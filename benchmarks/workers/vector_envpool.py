"""EnvPool's own CartPole, in C++, with its own choice of threads."""

from __future__ import annotations

import importlib.metadata

import envpool
import numpy as np
from stopwatch import answer, settings
from vector_loop import rate


def main() -> None:
    asked = settings()
    env = envpool.make("CartPole-v1", env_type="gymnasium", num_envs=asked["rows"], seed=0)
    env.reset()
    found = rate(env.step, asked, dtype=np.int32)
    answer(rate=found, version=importlib.metadata.version("envpool"))


main()
