"""Training env steps a second of PPO on CartPole-v1, beside Stable-Baselines3 and skrl, in interleaved rounds.

Everywhere: two separate 2x64 tanh MLPs, 4 epochs x 4 minibatches, Adam, gradient clipping. Start-up and a warm-up
are not counted; time runs from one update's end to another's. Each contestant uses its fastest env and, of one and two
threads, whichever gives more at that size.

    python3 dev.py nox -s bench            or, with the packages installed:   python benchmarks/ppo_throughput.py
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from peers import OURS, measure, say, write

SIZES = ((8, 128), (64, 64), (256, 32), (1024, 16))
CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "puffer": (OURS, {"env": "cartpole"}),
    "puffer, CartPole-v1 of gymnasium": (OURS, {"env": "gymnasium:CartPole-v1"}),
    "stable-baselines3": ("stable-baselines3", {}),
    "skrl": ("skrl", {}),
}
Rates = dict[tuple[str, tuple[int, int]], dict[int, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, interleaved")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a measurement")
    parser.add_argument("--quick", action="store_true", help="one round, two seconds, two sizes; not kept")
    parser.add_argument("--only", action="append", help="a contestant; repeatable")
    arguments = parser.parse_args()
    rounds, seconds = (1, 2.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    sizes = (SIZES[0], SIZES[-1]) if arguments.quick else SIZES
    rates, versions = compare(arguments.only or list(CONTESTANTS), sizes, rounds, seconds)
    rows = table(rates)
    print(as_text(rows, sizes))
    if not arguments.quick and not arguments.only:
        write("ppo_throughput", {"rounds": rounds, "seconds": seconds, "versions": versions, "steps_per_second": rows})


def compare(
    names: Sequence[str], sizes: Sequence[tuple[int, int]], rounds: int, seconds: float
) -> tuple[Rates, dict[str, Any]]:
    """Both thread counts in the first round, the better one in the others."""
    rates: Rates = defaultdict(lambda: defaultdict(list))
    versions: dict[str, Any] = {}
    for number, (envs, horizon), name in itertools.product(range(rounds), sizes, names):
        taken = rates[name, (envs, horizon)]
        peer, extra = CONTESTANTS[name]
        for threads in (1, 2) if number == 0 else (best_threads(taken),):
            asked = {"envs": envs, "horizon": horizon, "threads": threads, "seconds": seconds, "warm_up": 2.0, **extra}
            versions[peer] = measure("throughput", peer, asked)
            taken[threads].append(versions[peer].pop("rate"))
            versions[peer].pop("first_update", None)
            say(f"{number + 1}/{rounds} {envs:>5} x {horizon:<3} {name:<34} {threads}T {taken[threads][-1]:>9,.0f}")
    return rates, versions


def best_threads(taken: dict[int, list[float]]) -> int:
    return max(taken, key=lambda threads: statistics.median(taken[threads]))


def table(rates: Rates) -> list[dict[str, Any]]:
    """Medians by contestant and size, and how many times the contestant's rate Puffer's is."""
    rows = []
    for (name, size), taken in rates.items():
        threads = best_threads(taken)
        row = {"contestant": name, "envs": size[0], "horizon": size[1], "threads": threads}
        rows.append(row | {"median": round(median(taken)), "all": [round(rate) for rate in taken[threads]]})
        if ours := rates.get(("puffer", size)):
            rows[-1]["puffer_is_times"] = round(median(ours) / median(taken), 2)
    return rows


def median(taken: dict[int, list[float]]) -> float:
    return statistics.median(taken[best_threads(taken)])


def as_text(rows: list[dict[str, Any]], sizes: Sequence[tuple[int, int]]) -> str:
    lines = [f"| {'thousand steps a second':<34} |" + "".join(f" {f'{e} x {h}':>17} |" for e, h in sizes)]
    lines.append("|" + "-" * 36 + "|" + ("-" * 18 + ":|") * len(sizes))
    for name, cells in itertools.groupby(sorted(rows, key=order), key=lambda row: row["contestant"]):
        texts = (f"{row['median'] / 1000:.1f} ({row['threads']}T, {row.get('puffer_is_times')}x)" for row in cells)
        lines.append(f"| {name:<34} |" + "".join(f" {text:>17} |" for text in texts))
    return "\n".join([*lines, "", "In brackets: threads, and how many times as fast Puffer on its own cartpole is."])


def order(row: dict[str, Any]) -> tuple[int, int]:
    return list(CONTESTANTS).index(row["contestant"]), SIZES.index((row["envs"], row["horizon"]))


if __name__ == "__main__":
    main()
