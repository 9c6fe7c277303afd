"""Seconds from pressing enter to a solved CartPole-v1, beside Stable-Baselines3, in interleaved rounds of one run.

Solved: 100 greedy episodes in Gymnasium's CartPole-v1 with a mean return of at least 475. It is tried after each update
while the mean return of the last max(100, 2 x rows) training episodes is at least 475 (`--trigger`), and at the end of
training; a try that fails costs nothing, for the time that trying takes is not counted. All else is: the start of
Python, imports, compilation. A lower trigger tries sooner and more often, and shortens every contestant's time.

Stable-Baselines3 has the RL Zoo's hyperparameters for CartPole-v1, Puffer its own for the task, and its defaults in
a row of their own. Everyone trains on one thread. "Cold" starts with an empty cache of compiled code.

    python3 dev.py nox -s bench            or, with the packages installed:   python benchmarks/solve_cartpole.py
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers import OURS, measure, say, write

TUNED = (
    "--vector.num-envs 64 --horizon 32 --epochs 2 --minibatches 8 --gamma 0.98 --gae-lambda 0.8 --learning-rate 6e-3"
)
OURS_TUNED: dict[str, Any] = {"flags": TUNED.split(), "total_steps": 150_000}
CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "puffer, cold": (OURS, {"env": "cartpole", **OURS_TUNED}),
    "puffer, warm": (OURS, {"env": "cartpole", **OURS_TUNED}),
    "puffer, warm, CartPole-v1 of gymnasium": (OURS, {"env": "gymnasium:CartPole-v1", **OURS_TUNED}),
    "puffer, warm, defaults": (OURS, {"env": "cartpole"}),
    "stable-baselines3": ("stable-baselines3", {}),
}
REFERENCE = "stable-baselines3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ... of each contestant, interleaved")
    parser.add_argument("--trigger", type=float, default=475.0, help="mean recent training return that calls for a try")
    parser.add_argument("--quick", action="store_true", help="one seed; not kept")
    parser.add_argument("--only", action="append", help="a contestant; repeatable")
    arguments = parser.parse_args()
    names = arguments.only or list(CONTESTANTS)
    results = compare(names, range(1 if arguments.quick else arguments.seeds), arguments.trigger)
    rows = [summary(name, results[name], results.get(REFERENCE)) for name in names]
    print(as_text(rows))
    if not arguments.quick and not arguments.only:
        write("solve_cartpole", {"trigger": arguments.trigger, "goal": 475.0, "results": rows})


def compare(names: Sequence[str], seeds: Sequence[int], trigger: float) -> dict[str, list[dict[str, Any]]]:
    """Every contestant with each seed; whoever is cold gets an empty cache each time."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as directory:
        caches = Path(directory)
        warm_up(caches / "warm", names, trigger)
        for seed in seeds:
            for name in names:
                peer, extra = CONTESTANTS[name]
                cache = caches / (f"cold-{seed}" if "cold" in name else "warm")
                asked = {"seed": seed, "trigger": trigger, "goal": 475.0, "threads": 1, "total_steps": 100_000}
                result = measure("solve", peer, asked | extra, caches=cache)
                results[name].append(result)
                say(f"seed {seed}  {name:<40} {seconds(result):>6.1f} s  {result['steps']:>8,} steps")
    return results


def warm_up(cache: Path, names: Sequence[str], trigger: float) -> None:
    """Fill the cache of compiled code, as any earlier run would have."""
    for peer, extra in {str(CONTESTANTS[name]): CONTESTANTS[name] for name in names}.values():
        if peer == OURS:
            asked = {"seed": 99, "trigger": trigger, "goal": 0.0, "threads": 1}
            measure("solve", peer, asked | extra | {"total_steps": 5_000}, caches=cache)


def seconds(result: dict[str, Any]) -> float:
    """Infinite where the budget ended first."""
    return math.inf if result["seconds"] is None else float(result["seconds"])


def summary(name: str, results: list[dict[str, Any]], reference: list[dict[str, Any]] | None) -> dict[str, Any]:
    """The median over seeds; a seed that was not solved counts as slower than any other."""
    median = statistics.median_low([seconds(result) for result in results])
    other = statistics.median_low([seconds(result) for result in reference]) if reference else math.nan
    return {
        "contestant": name,
        "solved": f"{sum(result['seconds'] is not None for result in results)} of {len(results)}",
        "median_seconds": round(median, 2) if math.isfinite(median) else None,
        "times_the_reference": round(median / other, 3) if math.isfinite(median) and math.isfinite(other) else None,
        "runs": results,
    }


def as_text(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {'':<40} | solved | seconds (median) | of {REFERENCE}'s |",
        "|" + "-" * 42 + "|-------:|-----------------:|---:|",
    ]
    for row in rows:
        share = row["times_the_reference"]
        lines.append(f"| {row['contestant']:<40} | {row['solved']} | {row['median_seconds']} | {share} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
