"""What the vector modes gain and cost, measured where the machine's speed cancels out: short slices in turn.

`vector.py` compares libraries, a process each, minutes apart. On a machine whose speed changes within seconds that
says little of a mode's own ratio. Here one process holds the bare loop over envs, Puffer's serial and process modes
and Gymnasium's AsyncVectorEnv, and a second process has a bare loop of its own: two loops side by side are what the
hardware has to give.

    python benchmarks/modes.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Self

import gymnasium
import numpy as np
from peers import HERE, write

from puffer_core.contracts.env import EnvBuffers
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.vector import make_vector_env

sys.path.insert(0, str(HERE / "workers"))
from busy_env import iterations_for, maker

SLICE = 0.3
SLOTS = 17
IDS = {"cartpole": "CartPole-v1", "busy": "py:busy_env:BusyEnv"}
OURS = {
    "serial": VectorConfig(mode="serial"),
    "process, 1 worker + main": VectorConfig(mode="process", workers=1),
    "process, 2 workers": VectorConfig(mode="process", workers=2, isolate=True),
}
TASKS = (("cartpole", 8), ("cartpole", 64), ("cartpole", 1024), ("busy", 8), ("busy", 64))
Step = Callable[[], object]


def main() -> None:
    if sys.argv[1:2] == ["--loop"]:
        second_loop(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="slices of each")
    parser.add_argument("--quick", action="store_true", help="three slices; not kept")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    os.environ["PYTHONPATH"] = str(HERE / "workers")  # for worker processes, which import busy_env too
    iterations = iterations_for(100e-6)
    results = []
    for task, rows in TASKS:
        for name, ratios in compare(task, rows, iterations, rounds).items():
            low, middle, high = statistics.quantiles(ratios, n=4)
            results.append({"env": task, "rows": rows, "mode": name, "times_the_loop": round(middle, 3)})
            print(
                f"{task:>9} x {rows:<5} {name:<26} {middle:6.2f} of the bare loop   ({low:.2f} to {high:.2f})",
                flush=True,
            )
    if not arguments.quick:
        write("modes", {"rounds": rounds, "slice_seconds": SLICE, "results": results})


def compare(task: str, rows: int, iterations: int, rounds: int) -> dict[str, list[float]]:
    """The rate of each mode divided by the bare loop's of the same round."""
    with ExitStack() as stack:
        modes: dict[str, Step] = {name: stack.enter_context(ours(task, rows, iterations, name)) for name in OURS}
        if rows <= 8:
            modes["gymnasium Async"] = stack.enter_context(asynchronous(task, rows, iterations))
        loop = bare_loop(task, rows, iterations)
        other = stack.enter_context(SecondLoop(task, rows, iterations))
        ratios: dict[str, list[float]] = {name: [] for name in (*modes, "two bare loops")}
        for _ in range(rounds):
            alone = rate(loop)
            for name, step in modes.items():
                ratios[name].append(rate(step) / alone)
            ratios["two bare loops"].append(other.beside(loop) / alone)
    return ratios


def rate(step: Step) -> float:
    """Batches a second in one slice."""
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < SLICE:
        step()
        steps += 1
    return steps / (time.perf_counter() - start)


def bare_loop(task: str, rows: int, iterations: int) -> Step:
    envs = [maker({"env": task, "iterations": iterations})() for _ in range(rows)]
    actions = cycle(np.random.default_rng(0).integers(0, 2, (64, rows)))
    for i, env in enumerate(envs):
        env.reset(seed=i)

    def step() -> None:
        for env, action in zip(envs, next(actions), strict=True):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return step


@contextmanager
def ours(task: str, rows: int, iterations: int, name: str) -> Iterator[Step]:
    host = PluginHost.discover()
    provided = host.find_env(IDS[task])
    options = {} if task == "cartpole" else {"iterations": iterations}
    vector = OURS[name].model_copy(update={"num_envs": rows})
    with closing(make_vector_env(provided, host.load(provided), options, vector)) as env:
        env.bind(EnvBuffers.allocate(env.spec, SLOTS, getattr(env, "allocate", np.zeros)))
        env.reset(0)
        actions, slots = cycle(np.random.default_rng(0).integers(0, 2, (64, rows))), cycle(range(1, SLOTS))
        yield lambda: env.step(next(actions), next(slots))


@contextmanager
def asynchronous(task: str, rows: int, iterations: int) -> Iterator[Step]:
    make = maker({"env": task, "iterations": iterations})
    env = gymnasium.vector.AsyncVectorEnv([make] * rows)
    try:
        env.reset(seed=0)
        actions = cycle(np.random.default_rng(0).integers(0, 2, (64, rows)))
        yield lambda: env.step(next(actions))
    finally:
        env.close()


class SecondLoop:
    """A process with a bare loop of its own, which runs for a slice when told."""

    def __init__(self, *task: object) -> None:
        command = [sys.executable, str(Path(__file__)), "--loop", *map(str, task)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say("")

    def _say(self, text: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if text:
            print(text, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()

    def beside(self, loop: Step) -> float:
        """Both rates together."""
        assert self._process.stdin is not None
        print("go", file=self._process.stdin, flush=True)
        own = rate(loop)
        return own + float(self._say(""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def second_loop(task: str, rows: str, iterations: str) -> None:
    loop = bare_loop(task, int(rows), int(iterations))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(rate(loop), flush=True)


if __name__ == "__main__":
    main()
