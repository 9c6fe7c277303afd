"""Env steps a second of the native CartPole beside gymnasium's own vector CartPole, then of every native env.

    python benchmarks/native_stepping.py [--json FILE] [--rounds 15]

Both CartPoles step the same number of rows with the same uniformly random actions, autoreset included, in one thread.
The two take turns in short rounds, and time is the CPU's own, so that a busy machine counts little; medians are
compared. The other envs are measured alone, in rounds that take turns likewise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.specs import import_target
from puffer_env_native.cartpole import CartPole
from puffer_env_native.plugin import puffer_envs

ROWS = (8, 64, 1024, 4096)
ROWS_OF_EVERY_ENV = (64, 1024)
SLOTS = 33
STEPS_A_ROUND = 200_000


def native(batch: Callable[..., Any], rows: int) -> tuple[Callable[[np.ndarray], None], np.ndarray]:
    """Steps a native env through given actions, and actions for it, `[steps, rows, *action]`."""
    env = batch(rows)
    env.bind(EnvBuffers.allocate(env.spec, SLOTS))
    env.reset(0)
    space = env.spec.action.space
    space.seed(0)
    drawn = np.array([space.sample() for _ in range((SLOTS - 1) * rows)])

    def steps(actions: np.ndarray) -> None:
        step = env.step
        for slot, action in enumerate(actions, start=1):
            step(action, slot)

    return steps, drawn.reshape(SLOTS - 1, rows, *space.shape)


def peer(rows: int) -> Callable[[np.ndarray], None]:
    env = gymnasium.make_vec("CartPole-v1", num_envs=rows, vectorization_mode="vector_entry_point")
    env.reset(seed=0)

    def steps(actions: np.ndarray) -> None:
        step = env.step
        for action in actions:
            step(action)

    return steps


def rate(steps: Callable[[np.ndarray], None], actions: np.ndarray, repeats: int) -> float:
    """Million env steps a second of CPU time."""
    start = time.process_time()
    for _ in range(repeats):
        steps(actions)
    return float(repeats * actions.shape[0] * actions.shape[1] / (time.process_time() - start) / 1e6)


def measure(rows: int, rounds: int) -> dict[str, float]:
    (ours, actions), theirs = native(CartPole.batch, rows), peer(rows)
    repeats = max(1, STEPS_A_ROUND // actions.size)
    ours(actions)
    theirs(actions)
    pairs = [(rate(ours, actions, repeats), rate(theirs, actions, max(1, repeats // 4))) for _ in range(rounds)]
    native_rate, peer_rate = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return {"rows": rows, "native": native_rate, "gymnasium": peer_rate, "ratio": ratio}


def measure_every_env(rounds: int) -> list[dict[str, Any]]:
    """Million env steps a second of CPU time, of each registered env and number of rows."""
    named = {spec.name: import_target(spec.target) for spec in puffer_envs() if not spec.name.startswith("probe-")}
    runs = {(name, rows): native(batch, rows) for name, batch in named.items() for rows in ROWS_OF_EVERY_ENV}
    rates: dict[Any, list[float]] = {run: [] for run in runs}
    for _ in range(rounds):
        for run, (steps, actions) in runs.items():
            rates[run].append(rate(steps, actions, max(1, STEPS_A_ROUND // (actions.shape[0] * actions.shape[1]))))
    return [{"env": name, "rows": rows, "native": statistics.median(rates[name, rows])} for name, rows in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    print("CartPole, million steps a second of CPU time, medians of", arguments.rounds, "interleaved rounds")
    print(f"{'rows':>6} {'native':>9} {'gymnasium':>10} {'ratio':>7}")
    results = []
    for rows in ROWS:
        result = measure(rows, arguments.rounds)
        results.append(result)
        print(f"{rows:>6} {result['native']:>9.2f} {result['gymnasium']:>10.3f} {result['ratio']:>6.1f}x", flush=True)
    print(f"\n{'env':<24} {'rows':>6} {'native':>9}")
    every = measure_every_env(arguments.rounds)
    for result in every:
        print(f"{result['env']:<24} {result['rows']:>6} {result['native']:>9.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results + every, indent=1) + "\n")


if __name__ == "__main__":
    main()
