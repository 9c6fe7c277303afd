"""Runs in, one page out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from puffer_core.cli.output import size_text
from puffer_core.durable import replace_file
from puffer_core.errors import ResourceError, UsageError
from puffer_report import figures, tables
from puffer_report.figures import Axis, Figure, figure
from puffer_report.films import film
from puffer_report.formats import moment
from puffer_report.groups import Group, grouped
from puffer_report.metrics import EVALUATED, MOST_PANELS, RECENT, TRAINING, panels
from puffer_report.records import Record, read_runs

_SMALL = 400
"""Points of a curve in a small figure, which is not wider than that."""


@dataclass(frozen=True)
class Written:
    """A report on disk.

    Args:
        path: where it is.
        bytes: of the page.
        script_bytes: of plotly.js within it.
        warnings: a line for each run that had to be left out.
    """

    path: Path
    bytes: int
    script_bytes: int
    warnings: tuple[str, ...]


def write_report(runs: Sequence[Path], output: Path) -> Written:
    """Write one page about runs. They may still be going on, or have been killed; none of their files is changed.

    Args:
        runs: directories of runs, or of several runs.
        output: the page; one that is there already is replaced, in one step.

    Raises:
        UsageError: `runs` is empty.
        CheckpointError: a directory is not a run's, and has none in it.
        ResourceError: the page cannot be written.

    Example:
        >>> write_report([], Path("report.html"))
        Traceback (most recent call last):
        puffer_core.errors.UsageError: a report needs at least one run
        puffer report RUN...
    """
    if not runs:
        raise UsageError("a report needs at least one run", remedy="puffer report RUN...")
    records, warnings = read_runs(runs)
    page = _page(records, output, warnings).encode("utf-8", errors="replace")
    try:
        replace_file(output, page)
    except OSError as error:
        raise ResourceError(
            f"{output}: the page cannot be written: {error.strerror or error}",
            remedy="name another file with --output, in a directory that exists and is yours",
        ) from error
    return Written(output, len(page), len(_script().encode()), tuple(warnings))


def _page(records: Sequence[Record], output: Path, warnings: Sequence[str]) -> str:
    groups = grouped(records)
    axes = (figures.steps(_unit(records)), figures.wall_time(records))
    gallery = _Gallery()
    keys = panels(records)
    small = _panels(groups, axes[0], keys[:MOST_PANELS])
    shared, different = tables.facts(records)
    return str(
        _environment().get_template("page.html").render(
            title=_title(groups, records),
            now=moment(time.time()),
            groups=groups,
            records=records,
            warnings=warnings,
            results=tables.results(groups),
            caveat=tables.caveat(groups),
            singles=any(len(group.runs) == 1 for group in groups),
            several_seeds=any(len(group.runs) > 1 for group in groups),
            curves=_curves(groups, axes),
            metrics=[one for one in small if not one.title.startswith("system/")],
            system=[one for one in small if one.title.startswith("system/")],
            left_out=keys[MOST_PANELS:],
            times=[split for group in groups if (split := tables.time_split(group))],
            evaluations=[found for group in groups if (found := tables.evaluations(group))],
            hyperparameters=tables.hyperparameters(groups),
            shared=shared,
            different=different,
            resumes=tables.resumes(records),
            mishaps=tables.mishaps(records),
            films=[one for group in groups if (one := film(group, output))],
            gallery=gallery,
            script=Markup(_script()),  # noqa: S704  plotly's own
            script_size=size_text(len(_script().encode())),
            script_version=get_plotlyjs_version(),
        )
    )  # fmt: skip


def _unit(records: Sequence[Record]) -> str:
    units = {record.unit for record in records} - {"steps"}
    return units.pop() if len(units) == 1 else "steps"


def _title(groups: Sequence[Group], records: Sequence[Record]) -> str:
    if len(groups) == 1:
        return groups[0].label
    tasks = dict.fromkeys(f"{record.trainer} on {record.source}" for record in records)
    return next(iter(tasks)) if len(tasks) == 1 else f"{len(groups)} runs side by side"


def _curves(groups: Sequence[Group], axes: Sequence[Axis]) -> list[Figure]:
    """Returns of training and of evaluation, each over every axis."""
    recent = any(RECENT in run.metrics.values for group in groups for run in group.runs)
    found = [
        figure("Return in training", groups, axis, tables.training_return, raw=_reading(TRAINING) if recent else None)
        for axis in axes
    ]
    evaluated = _reading(EVALUATED)
    if any((evaluated(run) > float("-inf")).sum() > 1 for group in groups for run in group.runs):
        found += [figure("Return in evaluation", groups, axis, evaluated) for axis in axes]
    return [one for one in found if one is not None]


def _panels(groups: Sequence[Group], axis: Axis, keys: Sequence[str]) -> list[Figure]:
    found = (figure(key, groups, axis, _reading(key), most=_SMALL) for key in keys)
    return [one for one in found if one is not None]


def _reading(key: str) -> figures.Read:
    return lambda run: run.metrics.get(key)


class _Gallery:
    """Figures in the order in which the page shows them."""

    def __init__(self) -> None:
        self._shown: list[Figure] = []

    def add(self, one: Figure) -> int:
        """Its place in `json`."""
        self._shown.append(one)
        return len(self._shown) - 1

    def json(self) -> Markup:
        """All of them, safe within a script element: no text of a run can end it."""
        texts = (str(one.content.to_json()).replace("<", "\\u003c") for one in self._shown)
        return Markup(",\n".join(texts))  # noqa: S704


@cache
def _script() -> str:
    return str(get_plotlyjs())


def _environment() -> Environment:
    loader = PackageLoader("puffer_report", "page")
    made = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["file"] = _file
    return made


def _file(name: str) -> Any:
    """A file of the page's own, as it is."""
    return Markup((Path(__file__).parent / "page" / name).read_text(encoding="utf-8"))  # noqa: S704
