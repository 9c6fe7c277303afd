"""PPO on CartPole-v1 with JAX, beside rejax: training env steps a second at four batch sizes, and start-up.

Everywhere: two separate 2x64 tanh MLPs, 4 epochs x 4 minibatches, Adam at 3e-4. Ours steps its own `cartpole` in host
memory, and gymnax's CartPole-v1 inside the compiled program; rejax steps the latter. Throughput leaves out start-up and
a warm-up. Start-up is seconds from the start of the process to the end of the first update, with every cache empty
(first), and then with what that run left there (second). rejax keeps nothing by itself; one contestant is rejax with
JAX's own cache of compiled programs switched on. NumPy has one thread, XLA as many as there are cores.

    python benchmarks/jax_throughput.py [--rounds 3] [--only NAME] [--quick]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers import OURS, measure, say, write

SIZES = ((8, 128), (64, 64), (256, 32), (1024, 16))
REJAX = "rejax"
CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "puffer, cartpole": (OURS, {"env": "cartpole", "flags": ["--backend", "jax"]}),
    "puffer, gymnax": (OURS, {"env": "gymnax:CartPole-v1", "flags": ["--backend", "jax"]}),
    REJAX: ("rejax", {}),
}
CACHED = "rejax, JAX's cache on"
STARTERS = CONTESTANTS | {CACHED: ("rejax", {"cached": True})}
Taken = dict[tuple[str, Any], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, interleaved")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a measurement of throughput")
    parser.add_argument("--quick", action="store_true", help="one round, two seconds, two sizes; not kept")
    parser.add_argument("--only", action="append", help="a contestant; repeatable; not kept")
    arguments = parser.parse_args()
    rounds, seconds = (1, 2.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    sizes = (SIZES[0], SIZES[-1]) if arguments.quick else SIZES
    names = arguments.only or list(STARTERS)
    rates, starts, versions = compare(names, sizes, rounds, seconds)
    result = {"steps_per_second": table(rates, "rate"), "seconds_to_first_update": table(starts, "seconds")}
    print(as_text(result, sizes))
    if not arguments.quick and not arguments.only:
        write("jax_throughput", {"rounds": rounds, "seconds": seconds, "versions": versions, **result})


def compare(
    names: Sequence[str], sizes: Sequence[tuple[int, int]], rounds: int, seconds: float
) -> tuple[Taken, Taken, dict[str, Any]]:
    """Rates by contestant and size, start-up by contestant and run; everything takes its turn in every round."""
    rates: Taken = defaultdict(list)
    starts: Taken = defaultdict(list)
    versions: dict[str, Any] = {}
    for number in range(rounds):
        for name, run, found in start_up([name for name in names if name in STARTERS]):
            starts[name, run].append(found["first_update"])
            say(f"{number + 1}/{rounds} {run:>10} start  {name:<22} {found['first_update']:>9.2f} s")
        for size, name in itertools.product(sizes, names):
            if name not in CONTESTANTS:
                continue
            found = _measure(name, size, seconds=seconds, warm_up=2.0)
            rates[name, size].append(found.pop("rate"))
            versions[CONTESTANTS[name][0]] = {key: value for key, value in found.items() if key != "first_update"}
            say(f"{number + 1}/{rounds} {size[0]:>5} x {size[1]:<3}   {name:<22} {rates[name, size][-1]:>9,.0f}")
    return rates, starts, versions


def start_up(names: Sequence[str]) -> Any:
    """First and second run of each, on caches that begin empty."""
    with tempfile.TemporaryDirectory() as directory:
        for run, name in itertools.product(("first", "second"), names):
            caches = Path(directory) / name.replace(" ", "-")
            yield name, run, _measure(name, SIZES[-1], seconds=0.0, warm_up=0.0, caches=caches)


def _measure(name: str, size: tuple[int, int], *, caches: Path | None = None, **asked: float) -> dict[str, Any]:
    peer, extra = STARTERS[name]
    settings = {"envs": size[0], "horizon": size[1], "threads": 1, **asked, **extra}
    if caches is not None and extra.get("cached"):
        settings["jax_cache"] = str(caches / "jax")
    return measure("throughput", peer, settings, caches=caches)


def table(taken: Taken, kind: str) -> list[dict[str, Any]]:
    """Medians, and the same as multiples of rejax's."""
    rows = []
    for (name, at), values in taken.items():
        where = {"run": at} if kind == "seconds" else {"envs": at[0], "horizon": at[1]}
        row = {"contestant": name, **where, "median": round(statistics.median(values), 2)}
        if theirs := taken.get((REJAX, at)):
            row["times_rejax"] = round(statistics.median(values) / statistics.median(theirs), 2)
        rows.append(row | {"all": [round(value, 2) for value in values]})
    return rows


def as_text(result: dict[str, Any], sizes: Sequence[tuple[int, int]]) -> str:
    columns = [f"{envs} x {horizon}" for envs, horizon in sizes] + ["first start", "second start"]
    cells: dict[str, list[str]] = defaultdict(lambda: ["-"] * len(columns))
    for row in result["steps_per_second"]:
        at = list(sizes).index((row["envs"], row["horizon"]))
        cells[row["contestant"]][at] = f"{row['median'] / 1000:.1f}k ({row.get('times_rejax')}x)"
    for row in result["seconds_to_first_update"]:
        at = columns.index(f"{row['run']} start")
        cells[row["contestant"]][at] = f"{row['median']:.1f} s ({row.get('times_rejax')}x)"
    lines = [f"| {'':<22} |" + "".join(f" {column:>16} |" for column in columns)]
    lines.append("|" + "-" * 24 + "|" + ("-" * 17 + ":|") * len(columns))
    lines += [f"| {name:<22} |" + "".join(f" {text:>16} |" for text in texts) for name, texts in cells.items()]
    return "\n".join([*lines, "", "In brackets: as a multiple of rejax's figure in this run."])


if __name__ == "__main__":
    main()
