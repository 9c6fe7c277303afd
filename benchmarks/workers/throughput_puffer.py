"""Puffer's PPO: the updates that `puffer train` makes, without what lies between them."""

from __future__ import annotations

import importlib.metadata

from stopwatch import Stopwatch, answer, settings

from puffer_core.config import resolve
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext


def main() -> None:
    asked = settings()
    flags = [
        *("--vector.num-envs", str(asked["envs"])),
        *("--horizon", str(asked["horizon"])),
        *("--epochs", "4", "--minibatches", "4", "--learning-rate", "3e-4"),
        *("--total-steps", str(10**9)),
        *asked.get("flags", []),
    ]
    host = PluginHost.discover()
    context = RunContext(resolve(host, "ppo", asked["env"], argv=flags), host)
    trainer = context.trainer()
    stopwatch = Stopwatch(asked["warm_up"], asked["seconds"])
    while not stopwatch.boundary(trainer.progress):
        trainer.update()
        context.collects.metrics()
    engine = context.backend.name
    versions = {name: importlib.metadata.version(name) for name in ("puffer-ppo", engine)}
    first_update = stopwatch.first_update - asked["started"]
    answer(rate=stopwatch.rate, first_update=first_update, backend=engine, **versions)


main()
