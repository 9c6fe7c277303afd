"""A run's progress, and the picture of it that a terminal shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

from puffer_core.contracts.logger import RunInfo

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

_CELL = 26
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN_AREAS = frozenset({"episode", "policy"})  # their metrics are clear without the area's name
_SHOWN_ELSEWHERE = frozenset({"episode/return_recent", "episode/count"})


class Progress:
    """What is known of a run: the last value of every metric that is not NaN, and the pace."""

    def __init__(self, run: RunInfo, total: int, step: int = 0) -> None:
        self.run, self.total = run, total
        self.step = self.first = step
        self.metrics: dict[str, float] = {}
        self.returns: list[float] = []
        self.began = self.last = perf_counter()
        self._first_update: tuple[int, float] | None = None
        """The step and the time at which it ended."""

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take in an update. Costs a few microseconds: it happens after every one."""
        self.step, self.last = step, perf_counter()
        self._first_update = self._first_update or (self.step, self.last)
        self.metrics.update({name: value for name, value in metrics.items() if value == value})  # NaN is not itself
        recent = metrics.get("episode/return_recent", math.nan)
        if recent == recent:
            self.returns.append(recent)
            if len(self.returns) > 512:
                self.returns = self.returns[::2]

    @property
    def seconds(self) -> float:
        """From the start of the run to its last update."""
        return self.last - self.began

    @property
    def pace(self) -> float:
        """Steps a second since this process began, evaluation and saving included."""
        return (self.step - self.first) / max(self.seconds, 1e-9)

    @property
    def fraction(self) -> float:
        """Of the run that is done, 0..1."""
        return min(1.0, self.step / self.total)

    @property
    def starting(self) -> bool:
        """Whether the first update is under way."""
        return self._first_update is None

    @property
    def remaining(self) -> str:
        """Time to go, at the pace since the first update, which may have compiled; empty before there is one."""
        step, ended = self._first_update or (self.step, self.last)
        if self.step >= self.total:
            return f"{clock(0.0)} left"
        if self.step == step:
            return ""
        return f"{clock((self.total - self.step) * (self.last - ended) / (self.step - step))} left"

    @property
    def split(self) -> dict[str, float]:
        """Shares of the last update: env, policy, learn."""
        parts = {name: self.metrics.get(f"time/{name}", 0.0) for name in ("env", "policy", "learn")}
        whole = sum(parts.values())
        return {name: seconds / whole for name, seconds in parts.items()} if whole else {}


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    Example:
        >>> clock(3725.4), clock(0)
        ('1:02:05', '0:00')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def figure(value: float) -> str:
    """A number in three or four digits.

    Example:
        >>> figure(0.012345), figure(475.04), figure(2e6), figure(3e-7)
        ('0.0123', '475', '2,000,000', '3e-07')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def sparkline(values: list[float], width: int) -> str:
    """A row of blocks, one for each of `width` stretches of the values.

    Example:
        >>> sparkline([0, 1, 2, 3], 4)
        '▁▃▆█'
    """
    if len(values) < 2 or width < 2:
        return ""
    count = min(width, len(values))
    picked = [values[i * (len(values) - 1) // (count - 1)] for i in range(count)]
    low, high = min(picked), max(picked)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in picked)


class Frame:
    """The live display's picture of a run, for whatever width the terminal has. A rich renderable.

    Args:
        progress: of the run.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Its lines."""
        from rich.text import Text

        width = options.max_width
        for line in self._lines(width, ascii_only=options.ascii_only):
            text = Text(no_wrap=True, overflow="ellipsis", end="\n")
            for content, style in line:
                text.append(content, style)
            yield text

    def _lines(self, width: int, *, ascii_only: bool) -> Iterator[list[tuple[str, str]]]:
        progress = self._progress
        run, unit = progress.run, progress.run.unit.replace("_", " ")
        yield [(run.trainer, "bold cyan"), (" on ", ""), (run.source, "bold"), (f"  {run.directory}", "dim")]
        yield self._bar(width, ascii_only)
        steps = f"{progress.step:,} / {progress.total:,} {unit}  "
        if progress.starting:
            yield [(steps, ""), ("first update: compiling what it needs", "dim")]
            return
        yield [(steps, ""), (f"{progress.pace:,.0f}/s", "green")]
        passed = f"{clock(progress.seconds)} passed  {progress.remaining}".rstrip()
        split = "  ".join(f"{name} {share:.0%}" for name, share in progress.split.items())
        if len(passed) + len(split) + 2 <= width:
            yield [(f"{passed}  ", ""), (split, "dim")]
        else:
            yield [(passed, "")]
            yield [(split, "dim")]
        if progress.returns and not ascii_only:
            value = figure(progress.returns[-1])
            yield [("returns ", "dim"), (sparkline(progress.returns, width - 21), "green"), (f" {value}", "bold")]
        yield from self._table(width)

    def _bar(self, width: int, ascii_only: bool) -> list[tuple[str, str]]:
        full, rest = ("#", "-") if ascii_only else ("━", "━")
        cells = max(4, width - 6)
        done = int(self._progress.fraction * cells)
        return [
            (full * done, "cyan"),
            (rest * (cells - done), "bright_black"),
            (f" {self._progress.fraction:4.0%}", ""),
        ]

    def _table(self, width: int) -> Iterator[list[tuple[str, str]]]:
        """Every metric but times, in as many columns as fit."""
        metrics = self._progress.metrics
        names = [name for name in sorted(metrics) if not name.startswith("time/") and name not in _SHOWN_ELSEWHERE]
        columns = max(1, width // _CELL)
        rows = -(-len(names) // columns)
        for row in range(rows):
            yield [part for name in names[row::rows] for part in _cell(name, metrics[name], width // columns)]


def _cell(name: str, value: float, width: int) -> list[tuple[str, str]]:
    shown = figure(value)
    area, _, what = name.rpartition("/")
    label = (what if area in _PLAIN_AREAS else name).replace("/", " ").replace("_", " ")[: width - len(shown) - 3]
    return [(label.ljust(width - len(shown) - 2), "dim"), (shown + "  ", "bold")]
