"""Env steps a second of Puffer's vector modes beside those of Gymnasium, Stable-Baselines3 and EnvPool.

Four questions: CartPole-v1 at three sizes; an env whose step costs 100 us of CPU and gives 84 x 84 uint8; both again
while a busy loop is pinned on every core; and an env with a Dict observation that costs nothing, for the overhead of
a step. Actions are random and drawn ahead, every measurement is a process of its own, rounds are interleaved.

    python3 dev.py nox -s bench            or, with the packages installed:   python benchmarks/vector.py
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from peers import GYMNASIUM, HERE, OURS, measure, say, write

sys.path.insert(0, str(HERE / "workers"))
from busy_env import iterations_for

SECONDS_A_STEP = 100e-6
SB3, ENVPOOL = "stable-baselines3", "envpool"


@dataclass(frozen=True)
class Contestant:
    """A way of stepping.

    `alone`: it uses one process, so it is no answer to busy cores. `most`: rows that it is asked for; where every env
    has a process of its own, and each imports torch, 64 of them need minutes to start.
    """

    name: str
    peer: str
    kind: str
    envs: tuple[str, ...] = ("cartpole", "busy")
    alone: bool = True
    most: int = 1024


BASE = "puffer serial"
CONTESTANTS = (
    Contestant("loop without a batch", GYMNASIUM, "loop", ("cartpole", "busy", "dict")),
    Contestant(BASE, OURS, "serial", ("cartpole", "busy", "dict")),
    Contestant("puffer process, 1 worker + main", OURS, "process", alone=False),
    Contestant("puffer process, 2 workers", OURS, "isolate", alone=False),
    Contestant("puffer native", OURS, "native", ("cartpole",)),
    Contestant("gymnasium Sync", GYMNASIUM, "sync", ("cartpole", "busy", "dict")),
    Contestant("gymnasium Async", GYMNASIUM, "async", alone=False, most=64),
    Contestant("gymnasium's own batch", GYMNASIUM, "native", ("cartpole",)),
    Contestant("stable-baselines3 Dummy", SB3, "dummy"),
    Contestant("stable-baselines3 Subproc", SB3, "subproc", alone=False, most=8),
    Contestant("envpool", ENVPOOL, "", ("cartpole",), alone=False),
)


@dataclass(frozen=True)
class Question:
    """One measurement but for the contestant."""

    env: str
    rows: int
    loaded: bool = False

    def takes(self, contestant: Contestant) -> bool:
        """Whether the contestant can answer, and has something to say."""
        fits = self.rows <= contestant.most
        return self.env in contestant.envs and fits and not (self.loaded and contestant.alone)

    def __str__(self) -> str:
        return f"{self.env} x {self.rows}{', busy cores' if self.loaded else ''}"


QUESTIONS = (
    *(Question("cartpole", rows) for rows in (8, 64, 1024)),
    *(Question("busy", rows) for rows in (8, 64)),
    Question("cartpole", 64, loaded=True),
    Question("busy", 8, loaded=True),
    *(Question("dict", rows) for rows in (8, 64)),
)
QUICK = (Question("cartpole", 8), Question("busy", 8), Question("busy", 8, loaded=True), Question("dict", 8))
Rates = dict[Question, dict[str, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, interleaved")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a measurement")
    parser.add_argument("--quick", action="store_true", help="one round, half a second, 8 rows; not kept")
    parser.add_argument("--only", action="append", help="a contestant; repeatable")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.5) if arguments.quick else (arguments.rounds, arguments.seconds)
    questions = QUICK if arguments.quick else QUESTIONS
    contestants = [one for one in CONTESTANTS if not arguments.only or one.name in arguments.only]
    iterations = iterations_for(SECONDS_A_STEP)
    rates, versions = compare(contestants, questions, rounds, seconds, iterations)
    print(as_text(rates))
    if not arguments.quick and not arguments.only:
        settings = {"rounds": rounds, "seconds": seconds, "iterations": iterations, "versions": versions}
        write("vector", settings | {"steps_per_second": table(rates)})


def compare(
    contestants: Sequence[Contestant], questions: Sequence[Question], rounds: int, seconds: float, iterations: int
) -> tuple[Rates, dict[str, str]]:
    rates: Rates = {question: defaultdict(list) for question in questions}
    versions: dict[str, str] = {}
    for number, question in itertools.product(range(rounds), questions):
        with busy_cores() if question.loaded else ExitStack():
            for one in filter(question.takes, contestants):
                asked = {"env": question.env, "rows": question.rows, "kind": one.kind, "iterations": iterations}
                found = measure("vector", one.peer, asked | {"seconds": seconds, "warm_up": seconds / 4})
                versions[one.peer] = found["version"]
                rates[question][one.name].append(found["rate"])
                say(f"{number + 1}/{rounds} {question!s:<28} {one.name:<34} {found['rate']:>14,.0f}")
    return rates, versions


@contextmanager
def busy_cores() -> Iterator[None]:
    """A loop on every core that this process may use, pinned there."""
    loop = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"
    with ExitStack() as stack:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-c", loop, str(core)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
        yield


def table(rates: Rates) -> list[dict[str, Any]]:
    """Medians by question and contestant, as multiples of Puffer's serial mode or of the rate with idle cores."""
    rows = []
    for question, taken in rates.items():
        for name, all_rates in taken.items():
            row: dict[str, Any] = {"env": question.env, "rows": question.rows, "busy_cores": question.loaded}
            row |= {
                "contestant": name,
                "median": round(statistics.median(all_rates)),
                "all": list(map(round, all_rates)),
            }
            if question.loaded:
                row["share_of_idle"] = ratio(all_rates, rates, Question(question.env, question.rows), name)
            elif question.env == "dict":
                row["overhead_us"] = overhead(all_rates, taken.get("loop without a batch"))
            else:
                row["times_serial"] = ratio(all_rates, rates, question, BASE)
            rows.append(row)
    return rows


def ratio(all_rates: list[float], rates: Rates, question: Question, name: str) -> float | None:
    """The median, over rounds, of a rate divided by another of the same round."""
    base = rates.get(question, {}).get(name)
    if not base:
        return None
    return round(statistics.median(one / other for one, other in zip(all_rates, base, strict=True)), 3)


def overhead(all_rates: list[float], loop: list[float] | None) -> float | None:
    """Microseconds that an env's step costs beyond the step itself."""
    if not loop:
        return None
    return round(statistics.median(1e6 / one - 1e6 / other for one, other in zip(all_rates, loop, strict=True)), 2)


def as_text(rates: Rates) -> str:
    rows = table(rates)
    groups = (
        ("thousand env steps a second (times puffer serial)", "times_serial", "{:.2f}x"),
        ("the same with a busy loop on every core (share of the rate with idle cores)", "share_of_idle", "{:.0%}"),
        ("an env with a Dict observation (us a step beyond the env's own)", "overhead_us", "{:.1f} us"),
    )
    return "\n\n".join(as_table(title, [row for row in rows if key in row], key, form) for title, key, form in groups)


def as_table(title: str, rows: list[dict[str, Any]], key: str, form: str) -> str:
    sizes = list(dict.fromkeys((row["env"], row["rows"]) for row in rows))
    cells = {(row["contestant"], row["env"], row["rows"]): row for row in rows}
    names = [one.name for one in CONTESTANTS if any(one.name == row["contestant"] for row in rows)]
    lines = [f"| {'':<32} |" + "".join(f" {f'{env} x {count}':>20} |" for env, count in sizes)]
    lines.append("|" + "-" * 34 + "|" + ("-" * 21 + ":|") * len(sizes))
    for name in names:
        texts = (cell(cells.get((name, *size)), key, form) for size in sizes)
        lines.append(f"| {name:<32} |" + "".join(f" {text:>20} |" for text in texts))
    return "\n".join([f"{title}:", "", *lines])


def cell(row: dict[str, Any] | None, key: str, form: str) -> str:
    if row is None:
        return "-"
    figure = f"{row['median'] / 1000:,.1f}"
    return figure if row[key] is None else f"{figure} ({form.format(row[key])})"


if __name__ == "__main__":
    main()
