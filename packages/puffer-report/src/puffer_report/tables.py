"""The page's tables: what the runs reached, what they are, what they were given, what went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from puffer_core.checkpoints.inventory import size
from puffer_core.cli.output import size_text
from puffer_core.statistics import aggregate, interquartile_mean
from puffer_report.figures import last_value
from puffer_report.formats import MISSING, duration, moment, number, value_text
from puffer_report.groups import Group, differences
from puffer_report.metrics import COUNTERS, EVALUATED, RECENT, TOTALS, TRAINING, is_counter
from puffer_report.records import Record

PARTS = ("env", "policy", "learn", "eval", "save")
"""What time is spent on, as `time/*` metrics name it; the rest is `other`."""
_MOST_ROWS = 40
_FILES = {"crash-*.txt": "crash report", "stacks-*.txt": "it stood still"}
"""What a run leaves where it went wrong. Such a file is empty while a run goes on that all is well with."""


@dataclass(frozen=True)
class Result:
    """What a group reached: texts, but for `place`, its colour."""

    place: int
    label: str
    seeds: str
    evaluated: str
    best: str
    training: str
    steps: str
    seconds: str
    rate: str
    status: str


@dataclass(frozen=True)
class Evaluations:
    """Evaluations of one group.

    Args:
        label: the group's.
        seeds: how many runs there are.
        rows: step, mean return, its interval or deviation, episodes, and whether it is the best.
        left_out: evaluations that there was no room for.
        best: the best one's return, with its interval.
    """

    label: str
    seeds: int
    rows: list[tuple[str, str, str, str, bool]]
    left_out: int
    best: str


@dataclass(frozen=True)
class TimeSplit:
    """Where a group's time went: of each part its name, seconds as text, and share, 0..1."""

    label: str
    total: str
    parts: list[tuple[str, str, float]]


def results(groups: Sequence[Group]) -> list[Result]:
    """One row a group."""
    return [_result(place, group) for place, group in enumerate(groups)]


def _result(place: int, group: Group) -> Result:
    runs = group.runs
    seconds, judged = [_seconds(run) for run in runs], evaluations(group)
    rates = [run.metrics.step[-1] / time for run, time in zip(runs, seconds, strict=True) if time > 0]
    steps = sorted({run.overview.step for run in runs})
    return Result(
        place,
        group.label,
        group.seeds,
        over_seeds([last_value(run.metrics.get(EVALUATED)) for run in runs]),
        judged.best if judged else MISSING,
        over_seeds([last_value(training_return(run)) for run in runs]),
        " to ".join(number(step) for step in dict.fromkeys((steps[0], steps[-1]))),
        duration(float(np.mean(seconds))),
        number(float(np.mean(rates)) if rates else math.nan),
        ", ".join(dict.fromkeys(run.overview.status for run in runs)),
    )


def training_return(run: Record) -> Float[np.ndarray, "lines"]:
    """Return of training episodes: the mean over the last ones where the run has that, else of each update's."""
    recent = run.metrics.get(RECENT)
    return recent if np.isfinite(recent).any() else run.metrics.get(TRAINING)


def _seconds(run: Record) -> float:
    known = last_value(run.metrics.elapsed)
    return known if math.isfinite(known) else 0.0


def _highest(values: Float[np.ndarray, "lines"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else math.nan


def over_seeds(values: Sequence[float]) -> str:
    """The interquartile mean and its interval; of one value, that.

    Example:
        >>> over_seeds([1.0, 1.0]), over_seeds([float("nan"), 2.0]), over_seeds([])
        ('1 [1, 1]', '2', '-')
    """
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return number(known[0]) if known else MISSING
    found = aggregate(known).interquartile_mean
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def caveat(groups: Sequence[Group]) -> str:
    """What is to be known of intervals over so few seeds as the smallest group has; empty where they are enough."""
    sizes = {len(group.runs) for group in groups if len(group.runs) > 1}
    return aggregate([0.0] * min(sizes), resamples=2).caveat if sizes else ""


def facts(records: Sequence[Record]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What all runs have in common, and what each has beside it, by name of the fact."""
    shared, different = _divided([_facts(record) for record in records])
    versions, changed = _divided([dict(_versions(record)) for record in records])
    if versions:
        shared["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return shared, [one | more for one, more in zip(different, changed, strict=True)]


def _divided(own: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What is the same in all, and the rest of each."""
    names = list(dict.fromkeys(name for one in own for name in one))
    shared = {name: own[0][name] for name in names if len({one.get(name, MISSING) for one in own}) == 1}
    different = [name for name in names if name not in shared]
    return shared, [{name: one.get(name, MISSING) for name in different} for one in own]


def _facts(record: Record) -> dict[str, str]:
    view, engine = record.overview, record.runtime.get("backend", record.config.get("backend"))
    details = engine if isinstance(engine, dict) and record.runtime else {}
    name = engine.get("name", "") if isinstance(engine, dict) else engine or ""
    found = {
        "directory": str(record.path),
        "trainer": record.trainer,
        "env": record.source,
        "seed": str(record.config.get("seed", MISSING)),
        "status": view.status,
        "steps": number(view.step) + (f" of {number(view.total_steps)}" if view.total_steps else ""),
        "wall time": duration(_seconds(record)),
        "began": moment(view.began),
        "backend": ", ".join([str(name), *(f"{key} {value_text(details[key])}" for key in details if key != "name")]),
        "platform": str(record.runtime.get("platform", "")),
        "on disk": size_text(view.bytes),
    }
    return {key: value for key, value in found.items() if value}


def _versions(record: Record) -> Iterator[tuple[str, str]]:
    for name, version in record.runtime.items():
        if isinstance(version, str) and name != "platform":
            yield name, version
    yield from record.plugins.items()


def hyperparameters(groups: Sequence[Group]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Options that differ, with each group's value, and those that do not."""
    options = [group.options for group in groups]
    telling = differences(options)
    different = {name: [value_text(one[name]) if name in one else MISSING for one in options] for name in telling}
    return different, {name: value_text(value) for name, value in sorted(options[0].items()) if name not in telling}


class _Judged(NamedTuple):
    """One evaluation of one run."""

    mean: float
    deviation: float
    episodes: int


def evaluations(group: Group) -> Evaluations | None:
    """Every evaluation, or the best and as many others as fit; None where there is none."""
    at: dict[float, list[_Judged]] = {}
    for run in group.runs:
        returns, deviations = run.metrics.get(EVALUATED), run.metrics.get("eval/return_std")
        episodes = run.metrics.get("eval/episodes")
        for line in np.flatnonzero(np.isfinite(returns)):
            count = episodes[line] if np.isfinite(episodes[line]) else run.config.get("eval_episodes") or 0
            judged = _Judged(float(returns[line]), float(deviations[line]), int(count))
            at.setdefault(float(run.metrics.step[line]), []).append(judged)
    if not at:
        return None
    steps = sorted(at)
    means = {step: interquartile_mean([one.mean for one in at[step]]) for step in steps}
    complete = [step for step in steps if len(at[step]) == len(group.runs)] or steps
    best = max(complete, key=means.__getitem__)
    shown = sorted({steps[place] for place in np.linspace(0, len(steps) - 1, _MOST_ROWS).astype(int)} | {best})
    rows = [(number(step), number(means[step]), *_around(at[step]), step == best) for step in shown]
    highest = over_seeds([one.mean for one in at[best]])
    return Evaluations(group.label, len(group.runs), rows, len(steps) - len(rows), highest)


def _around(found: Sequence[_Judged]) -> tuple[str, str]:
    """Of one step: how far others lie from its mean, and the number of episodes."""
    episodes = number(sum(one.episodes for one in found))
    if len(found) == 1:
        return number(found[0].deviation), episodes
    interval = aggregate([one.mean for one in found]).interquartile_mean
    return f"{number(interval.low)} to {number(interval.high)}", episodes


def time_split(group: Group) -> TimeSplit | None:
    """Where the time of all its runs went; None where that was not measured."""
    total = sum(_seconds(run) for run in group.runs)
    spent = {part: sum(float(np.nansum(run.metrics.get(f"time/{part}"))) for run in group.runs) for part in PARTS}
    whole = max(total, sum(spent.values()))
    if not whole:
        return None
    spent["other"] = whole - sum(spent.values())
    parts = [(part, duration(seconds), seconds / whole) for part, seconds in spent.items()]
    return TimeSplit(group.label, duration(whole), parts)


def resumes(records: Sequence[Record]) -> list[tuple[str, str, str, str, str]]:
    """Each time a run went on: run, when, step, checkpoint, what was changed."""
    rows = []
    for record in records:
        for line in record.resumes:
            changes = line.get("changes")
            told = [f"{key}: {_change(value)}" for key, value in changes.items()] if isinstance(changes, dict) else []
            cells = (_time(line.get("time")), _step(line.get("step")), str(line.get("checkpoint", MISSING)))
            rows.append((record.path.name, *cells, ", ".join(told) or "nothing"))
    return rows


def _change(value: Any) -> str:
    if isinstance(value, dict) and {"from", "to"} <= set(value):
        return f"{value_text(value['from'])} → {value_text(value['to'])}"
    return value_text(value)


def _time(value: Any) -> str:
    try:
        return moment(datetime.fromisoformat(str(value)).timestamp())
    except ValueError:
        return MISSING


def _step(value: Any) -> str:
    return number(value) if isinstance(value, (int, float)) else MISSING


def mishaps(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    """What went wrong and was survived: run, what, how often or where it is told."""
    rows = []
    for record in records:
        name = record.path.name
        for key in sorted(filter(is_counter, record.metrics.values)):
            values = record.metrics.get(key)
            total = float(np.nansum(values)) if key in COUNTERS else _highest(values)
            if total > 0:
                told = (COUNTERS | TOTALS).get(key) or f"metrics that {key.split('/')[1]} did not take"
                rows.append((name, told, number(total)))
        if record.metrics.damaged:
            rows.append((name, "lines of metrics.jsonl that cannot be read", number(record.metrics.damaged)))
        if record.overview.reason:
            rows.append((name, "damaged", record.overview.reason))
        for pattern, told in _FILES.items():
            rows += [(name, told, file.name) for file in sorted(record.path.glob(pattern)) if size(file)]
    return rows
