"""PPO with two threads while other processes want the cores: `python benchmarks/busy_cores.py`.

Steps per second of updates at 1024 rows x 16 steps, for each way that OpenMP's threads can wait, beside 0, 1 and 2 busy
loops. Every figure is the median of a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from statistics import median
from time import perf_counter

ROWS, HORIZON, SECONDS = 1024, 16, 4.0
WAYS = {
    "one thread": ("1", {}),
    "spinning": ("2", {"OMP_WAIT_POLICY": "active"}),
    "passive": ("2", {"OMP_WAIT_POLICY": "passive"}),
    "short spin": ("2", {"GOMP_SPINCOUNT": "1000"}),
}


def worker(threads: str) -> None:
    from puffer_core.config import resolve
    from puffer_core.plugins import PluginHost
    from puffer_core.run.context import RunContext

    host = PluginHost.discover()
    flags = ["--vector.num-envs", str(ROWS), "--horizon", str(HORIZON), "--backend.threads", threads]
    trainer = RunContext(resolve(host, "ppo", "cartpole", argv=[*flags, "--total-steps", "1000000000"]), host).trainer()
    trainer.update()
    rates, end = [], perf_counter() + SECONDS
    while perf_counter() < end or len(rates) < 3:
        start = perf_counter()
        trainer.update()
        rates.append(ROWS * HORIZON / (perf_counter() - start))
    print(median(rates))


def main() -> None:
    print(f"{'steps a second beside':<24}" + "".join(f"{loops:>10} busy" for loops in range(3)))
    for name, (threads, variables) in WAYS.items():
        figures = []
        for loops in range(3):
            with ExitStack() as stack:
                for _ in range(loops):
                    loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                    stack.callback(loop.kill)
                done = subprocess.run(
                    [sys.executable, __file__, threads],
                    capture_output=True,
                    text=True,
                    check=True,
                    env={**os.environ, **variables},
                )
            figures.append(float(done.stdout))
        print(f"{name:<24}" + "".join(f"{figure:>15,.0f}" for figure in figures), flush=True)


if __name__ == "__main__":
    worker(sys.argv[1]) if len(sys.argv) > 1 else main()
