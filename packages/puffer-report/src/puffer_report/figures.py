"""Figures as plotly takes them. Colours are the page's: a trace says whose it is, and the page's script paints it."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from puffer_report.curves import MOST_POINTS, Curve, Spread, averaged, curve, spread, thinned
from puffer_report.formats import number
from puffer_report.groups import Group
from puffer_report.records import Record

Read: TypeAlias = Callable[[Record], Float[np.ndarray, "lines"]]
COLOURS = 8
"""That the page has; more groups than that differ in their dashes too."""
_LAYERS = ("band", "seed", "line")
"""From back to front: no group's band lies over another's line."""
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Axis:
    """What a figure's abscissa is.

    Args:
        title: with the unit.
        read: its values, from a run.
        scale: units of `read` in one of the title's.
    """

    title: str
    read: Read
    scale: float = 1.0


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        title: above it.
        over: what its abscissa is.
        content: what plotly draws, without colours.
        words: the same for who does not see it.
    """

    title: str
    over: str
    content: go.Figure
    words: str


def steps(unit: str) -> Axis:
    """Progress of the trainer."""
    return Axis(unit.replace("_", " "), lambda run: run.metrics.step)


def wall_time(runs: Sequence[Record]) -> Axis:
    """Time of training, in a unit that fits the longest run."""
    longest = max((float(np.nanmax(run.metrics.elapsed)) for run in runs if _timed(run)), default=0.0)
    for name, length in (("hours", 3600.0), ("minutes", 60.0)):
        if longest >= 2 * length:
            return Axis(f"wall time, {name}", lambda run: run.metrics.elapsed, length)
    return Axis("wall time, seconds", lambda run: run.metrics.elapsed)


def _timed(run: Record) -> bool:
    return bool(np.isfinite(run.metrics.elapsed).any())


def figure(
    title: str, groups: Sequence[Group], axis: Axis, read: Read, *, raw: Read | None = None, most: int = MOST_POINTS
) -> Figure | None:
    """A metric of every group; None where no run has a value.

    Args:
        title: of the figure.
        groups: a line each; those of several seeds with a band, and a faint line for each seed.
        axis: the abscissa.
        read: the metric, from a run.
        raw: what `read` is a smoothed form of, drawn faintly behind a single run.
        most: points of a curve.
    """
    traces: list[go.Scatter] = []
    said = []
    for place, group in enumerate(groups):
        curves = [one for run in group.runs if len((one := _curve(axis, run, read)).x)]
        traces += _traces(place, group, axis, curves, raw, most)
        if curves:
            last = np.mean([one.y[-1] for one in curves])
            said.append(f"{group.label}: {number(float(last))} at the end")
    if not said:
        return None
    content = go.Figure(sorted(traces, key=lambda trace: _LAYERS.index(trace.meta["part"])), _layout(axis))
    _fit_axes(content)
    return Figure(title, axis.title.partition(",")[0], content, f"{title} over {axis.title}. {'; '.join(said)}.")


def _curve(axis: Axis, run: Record, read: Read) -> Curve:
    return curve(axis.read(run) / axis.scale, read(run))


def _traces(
    place: int, group: Group, axis: Axis, curves: Sequence[Curve], raw: Read | None, most: int
) -> Iterator[go.Scatter]:
    together = spread(curves, min(most, 400)) if len(curves) > 1 else None
    for one in curves if together is not None else []:
        yield _line(place, thinned(one, most), opacity=0.4, width=1.0)
    if together is not None:
        yield _band(place, together)
        yield _line(place, Curve(together.x, together.centre), group.label, interval=together)
        return
    if raw is not None and len(curves) == 1:
        yield _line(place, thinned(_curve(axis, group.runs[0], raw), most), opacity=0.4, width=1.0)
    for one in curves:  # more than one only where no seed overlaps another
        smooth = one
        if len(one.x) > most:
            yield _line(place, thinned(one, most), opacity=0.4, width=1.0)
            smooth = averaged(one, one.x[0], one.x[-1], most // 5)
        yield _line(place, smooth, group.label)


def _line(
    place: int,
    points: Curve,
    name: str = "",
    *,
    opacity: float = 1.0,
    width: float = 2.0,
    interval: Spread | None = None,
) -> go.Scatter:
    few = len(points.x) < 30 and bool(name)
    hover, custom = "%{y:.4~g}", None
    if interval is not None:
        hover += " (%{customdata[0]:.4~g} to %{customdata[1]:.4~g})"
        custom = np.stack([interval.low, interval.high], axis=1).astype(np.float32)
    return go.Scatter(
        x=points.x,
        y=points.y.astype(np.float32),
        name=html.escape(name),
        mode="lines+markers" if few else "lines",
        marker={"size": 5},
        line={"width": width, "dash": _DASHES[place // COLOURS % len(_DASHES)]},
        opacity=opacity,
        hoverinfo=None if name else "skip",
        hovertemplate=hover if name else None,
        customdata=custom,
        meta={"group": place, "part": "line" if name else "seed"},
    )


def _band(place: int, together: Spread) -> go.Scatter:
    return go.Scatter(
        x=np.concatenate([together.x, together.x[::-1]]),
        y=np.concatenate([together.high, together.low[::-1]]).astype(np.float32),
        mode="lines",
        line={"width": 0},
        fill="toself",
        opacity=0.2,
        hoverinfo="skip",
        meta={"group": place, "part": "band"},
    )


def _layout(axis: Axis) -> dict[str, Any]:
    return {
        "template": None,
        "showlegend": False,
        "margin": {"l": 52, "r": 12, "t": 6, "b": 42},
        "hovermode": "x unified",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"title": {"text": html.escape(axis.title)}, "hoverformat": ",.6~g"} | _AXIS,
        "yaxis": _AXIS,
    }


_AXIS = {"zeroline": False, "automargin": True, "nticks": 6, "exponentformat": "e"}
_IN_THOUSANDS = 10_000.0


def _fit_axes(content: go.Figure) -> None:
    """`20k` and `3M` in place of long numbers, and a range for what is always the same.

    Small numbers stay decimal: `200m` is read as millions.
    """
    for name in ("x", "y"):
        axis, values = content.layout[f"{name}axis"], np.concatenate([trace[name] for trace in content.data])
        low, high = float(values.min()), float(values.max())
        if max(-low, high) >= _IN_THOUSANDS:
            axis.tickformat = "~s"
        if name == "y" and low == high:
            axis.range = sorted((0.0, 2 * high)) if high else (0.0, 1.0)


def last_value(values: Float[np.ndarray, "lines"]) -> float:
    """The last that there is; NaN where there is none.

    Example:
        >>> last_value(np.array([1.0, 2.0, np.nan]))
        2.0
    """
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else math.nan
