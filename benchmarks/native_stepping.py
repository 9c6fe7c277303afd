"""Env steps a second of the native CartPole beside gymnasium's own vector CartPole, in one interleaved run.

    python benchmarks/native_stepping.py [--json FILE] [--rounds 15]

Both step the same number of rows with the same uniformly random actions, autoreset included, in one thread. The two
take turns in short rounds, and time is the CPU's own, so that a busy machine counts little; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_env_native.cartpole import CartPole

ROWS = (8, 64, 1024, 4096)
SLOTS = 33
STEPS_A_ROUND = 200_000


def native(rows: int) -> Callable[[np.ndarray], None]:
    env = CartPole.batch(rows)
    env.bind(EnvBuffers.allocate(env.spec, SLOTS))
    env.reset(0)

    def steps(actions: np.ndarray) -> None:
        step = env.step
        for slot, action in enumerate(actions, start=1):
            step(action, slot)

    return steps


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
    return repeats * actions.size / (time.process_time() - start) / 1e6


def measure(rows: int, rounds: int) -> dict[str, float]:
    ours, theirs = native(rows), peer(rows)
    actions = np.random.default_rng(0).integers(0, 2, (SLOTS - 1, rows))
    repeats = max(1, STEPS_A_ROUND // actions.size)
    ours(actions)
    theirs(actions)
    pairs = [(rate(ours, actions, repeats), rate(theirs, actions, max(1, repeats // 4))) for _ in range(rounds)]
    native_rate, peer_rate = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return {"rows": rows, "native": native_rate, "gymnasium": peer_rate, "ratio": ratio}


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
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
