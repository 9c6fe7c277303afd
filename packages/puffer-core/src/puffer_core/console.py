"""What a run shows while it trains: a live display in a terminal, plain lines elsewhere, and the end in either."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TextIO

from puffer_core.contracts.logger import RunInfo
from puffer_core.run.directory import Run
from puffer_core.run.loop import Display

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.live import Live
    from rich.text import Text

_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 2.0
_SHARE = 0.01  # of the run's time that the live display may cost
_CELL = 26
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN_AREAS = frozenset({"episode", "policy"})  # their metrics are clear without the area's name
_SHOWN_ELSEWHERE = frozenset({"episode/return_recent", "episode/count"})


def make_display(*, quiet: bool = False, stream: TextIO | None = None) -> Display:
    """The display that suits a stream: live in a terminal, plain lines elsewhere, only the end where quiet.

    Args:
        quiet: show nothing before the end.
        stream: where to show it; standard output where None.
    """
    out = stream or sys.stdout
    if quiet:
        return EndOnly(out)
    return LiveDisplay(out) if out.isatty() else Lines(out)


class Progress:
    """What is known of a run: the last value of every metric that is not NaN, and the pace."""

    def __init__(self, run: RunInfo, total: int) -> None:
        self.run, self.total = run, total
        self.step = self.first = 0
        self.metrics: dict[str, float] = {}
        self.returns: list[float] = []
        self.began = perf_counter()

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take in an update. Costs a few microseconds: it happens after every one."""
        self.step = step
        self.metrics.update({name: value for name, value in metrics.items() if value == value})  # NaN is not itself
        recent = metrics.get("episode/return_recent", math.nan)
        if recent == recent:
            self.returns.append(recent)
            if len(self.returns) > 512:
                self.returns = self.returns[::2]

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return perf_counter() - self.began

    @property
    def pace(self) -> float:
        """Steps a second over the whole run, evaluation and saving included."""
        return (self.step - self.first) / max(self.seconds, 1e-9)

    @property
    def fraction(self) -> float:
        """Of the run that is done, 0..1."""
        return min(1.0, self.step / self.total)

    @property
    def remaining(self) -> str:
        """Time to go at this pace."""
        return clock((self.total - self.step) / self.pace) if self.step < self.total and self.pace else clock(0.0)

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
    """A number in about four digits.

    Example:
        >>> figure(0.012345), figure(475.04), figure(2e6), figure(3e-7)
        ('0.01235', '475', '2,000,000', '3e-07')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


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


class EndOnly:
    """Shows how a run ended, and messages as they come. The other displays build on it.

    Args:
        stream: where to show it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self.progress: Progress | None = None

    def start(self, run: RunInfo, total: int) -> None:
        """Take note of the run."""
        self.progress = Progress(run, total)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take note of an update."""
        assert self.progress is not None, "update before start"
        self.progress.add(step, metrics)

    def message(self, text: str) -> None:
        """One line on stderr, so that it is seen where output is piped away."""
        print(text, file=sys.stderr)  # noqa: T201

    def end(self, run: Run | None) -> None:
        """How the run ended, what it learned, where it is and how to go on."""
        if run is not None and self.progress is not None:
            for line in ending(run, self.progress):
                self._print(line)

    def _print(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            print(line, file=self._stream, flush=True)
        except UnicodeEncodeError:
            print(line.encode("ascii", "replace").decode(), file=self._stream, flush=True)
        except (OSError, ValueError):  # the reader of a pipe went away, or the stream was closed: training goes on
            self._stream = None


def ending(run: Run, progress: Progress) -> Iterator[str]:
    """The last lines of a run that finished."""
    unit = progress.run.unit.replace("_", " ")
    yield f"trained    {progress.step:,} {unit} in {clock(progress.seconds)} ({progress.pace:,.0f} a second)"
    if run.evaluation is not None:
        found = run.evaluation
        yield (
            f"evaluated  mean return {found.mean_return:,.1f} +- {found.std_return:,.1f}, mean length "
            f"{found.mean_length:,.1f}, {found.episodes} episodes"
        )
    yield f"run        {run.directory}"
    yield f"go on      puffer eval {run.directory}"


class Lines(EndOnly):
    """A line every two seconds, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._next = 0.0

    def start(self, run: RunInfo, total: int) -> None:
        """Say what is trained, and where."""
        super().start(run, total)
        self._print(
            f"training {run.trainer} on {run.source}: {total:,} {run.unit.replace('_', ' ')}, in {run.directory}"
        )

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line, if two seconds have passed since the last."""
        super().update(step, metrics)
        now = monotonic()
        if now >= self._next:
            self._next = now + _LINE_SECONDS
            self._print(self._line())

    def _line(self) -> str:
        progress = self.progress
        assert progress is not None
        metrics = progress.metrics
        parts = [f"{progress.fraction:4.0%}  step {progress.step:,}", f"{progress.pace:,.0f}/s"]
        for label, name in (("return", "episode/return_recent"), ("length", "episode/length")):
            if name in metrics:
                parts.append(f"{label} {figure(metrics[name])}")
        return "  ".join([*parts, f"{progress.remaining} left"])


class LiveDisplay(EndOnly):
    """A frame in the terminal that is drawn anew at most four times a second, and less often where drawing is slow."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._live: Live | None = None
        self._next = 0.0

    def start(self, run: RunInfo, total: int) -> None:
        """Open the frame."""
        from rich.console import Console
        from rich.live import Live

        super().start(run, total)
        assert self.progress is not None
        self._live = Live(Frame(self.progress), console=Console(file=self._stream), auto_refresh=False)
        self._live.start()

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Draw, if it is time."""
        super().update(step, metrics)
        before = monotonic()
        if before >= self._next and self._live is not None:
            self._draw()
            now = monotonic()
            self._next = now + max(_REFRESH_SECONDS, (now - before) / _SHARE)

    def _draw(self) -> None:
        assert self._live is not None
        try:
            self._live.refresh()
        except (OSError, ValueError):  # the terminal went away
            self._live = None

    def message(self, text: str) -> None:
        """A line above the frame."""
        if self._live is None:
            super().message(text)
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def end(self, run: Run | None) -> None:
        """Leave the last frame where it is, give the terminal back, and say how it ended."""
        if self._live is not None:
            self._draw()
        if self._live is not None:
            self._live.stop()
            self._live = None
        super().end(run)


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
        yield [(f"{progress.step:,} / {progress.total:,} {unit}  ", ""), (f"{progress.pace:,.0f}/s", "green")]
        passed = f"{clock(progress.seconds)} passed  {progress.remaining} left"
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


def _cell(name: str, value: float, width: int) -> list[tuple[str, Any]]:
    shown = figure(value)
    area, _, what = name.rpartition("/")
    label = (what if area in _PLAIN_AREAS else name).replace("/", " ").replace("_", " ")[: width - len(shown) - 3]
    return [(label.ljust(width - len(shown) - 2), "dim"), (shown + "  ", "bold")]
