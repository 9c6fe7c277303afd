"""Puffer's vector envs: serial, in processes, native."""

from __future__ import annotations

import importlib.metadata
import os
from itertools import cycle
from pathlib import Path

import numpy as np
from stopwatch import answer, settings
from vector_loop import rate

from puffer_core.contracts.env import EnvBuffers
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.vector import make_vector_env

SLOTS = 17
KINDS = {
    "serial": {"mode": "serial"},
    "process": {"mode": "process", "workers": 1},
    "isolate": {"mode": "process", "workers": 2, "isolate": True},
    "native": {"mode": "native"},
}
IDS = {"cartpole": "CartPole-v1", "busy": "py:busy_env:BusyEnv", "dict": "py:busy_env:DictEnv"}


def main() -> None:
    asked = settings()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # for worker processes, which import busy_env too
    host = PluginHost.discover()
    native = asked["kind"] == "native"
    provided = host.find_env("cartpole" if native else IDS[asked["env"]])
    options = {} if asked["env"] == "cartpole" else {"iterations": asked["iterations"]}
    vector = VectorConfig(num_envs=asked["rows"], **KINDS[asked["kind"]])
    env = make_vector_env(provided, host.load(provided), options, vector)
    env.bind(EnvBuffers.allocate(env.spec, SLOTS, getattr(env, "allocate", np.zeros)))
    env.reset(0)
    step, slots = env.step, cycle(range(1, SLOTS))
    found = rate(lambda actions: step(actions, next(slots)), asked)
    env.close()
    answer(rate=found, version=importlib.metadata.version("puffer-core"))


main()
