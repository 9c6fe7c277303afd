"""What a run shows while it trains: a live display in a terminal, plain lines elsewhere, and the end in either."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from puffer_core.console.progress import Frame, Progress, clock, figure
from puffer_core.contracts.logger import RunInfo
from puffer_core.run.directory import Run
from puffer_core.run.display import Display, warn, write_line

if TYPE_CHECKING:
    from rich.live import Live

_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 2.0
_SHARE = 0.01  # of the run's time that the live display may cost


def make_display(*, quiet: bool = False, stream: TextIO | None = None) -> Display:
    """The display that suits a stream: live in a terminal, plain lines elsewhere, only the end where quiet.

    Args:
        quiet: show nothing before the end.
        stream: where to show it; standard output where None.
    """
    out = stream or sys.stdout
    if quiet or out is None:  # a closed stream
        return EndOnly(out)
    return LiveDisplay(out) if out.isatty() else Lines(out)


class EndOnly:
    """Shows how a run ended, and messages as they come. The other displays build on it.

    Args:
        stream: where to show it; None: nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.progress: Progress | None = None

    def start(self, run: RunInfo, total: int, step: int = 0) -> None:
        """Take note of the run."""
        self.progress = Progress(run, total, step)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take note of an update."""
        assert self.progress is not None, "update before start"
        self.progress.add(step, metrics)

    def message(self, text: str) -> None:
        """One line on stderr, so that it is seen where output is piped away."""
        warn(text)

    def note(self, text: str) -> None:
        """Nothing: who wants quiet can do without."""

    def end(self, run: Run | None) -> None:
        """How the run ended, what it learned, where it is and how to go on."""
        if run is not None and self.progress is not None:
            for line in ending(run, self.progress):
                self._print(line)

    def _print(self, line: str) -> None:
        if self._stream is not None and not write_line(self._stream, line):
            self._stream = None


def ending(run: Run, progress: Progress) -> Iterator[str]:
    """The last lines of a run that finished."""
    unit = progress.run.unit.replace("_", " ")
    resumed = f", from {progress.first:,} on," if progress.first else ""
    yield f"trained    {progress.step:,} {unit}{resumed} in {clock(progress.seconds)} ({progress.pace:,.0f} a second)"
    if run.evaluation is not None:
        found = run.evaluation
        yield (
            f"evaluated  mean return {figure(found.mean_return)} +- {figure(found.std_return)}, mean length "
            f"{figure(found.mean_length)}, {found.episodes} episodes"
        )
    yield f"run        {run.directory}"
    yield f"go on      puffer eval {run.directory}"


class Lines(EndOnly):
    """A line every two seconds, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._next = 0.0

    def start(self, run: RunInfo, total: int, step: int = 0) -> None:
        """Say what is trained, from where on, and where it is kept."""
        super().start(run, total, step)
        unit = run.unit.replace("_", " ")
        begun = f", from step {step:,}" if step else ""
        self._print(f"training {run.trainer} on {run.source}: {total:,} {unit}{begun}, in {run.directory}")

    def note(self, text: str) -> None:
        """One line."""
        self._print(text)

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
        return "  ".join([*parts, progress.remaining]).rstrip()


class LiveDisplay(EndOnly):
    """A frame in the terminal that is drawn anew at most four times a second, and less often where drawing is slow."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._live: Live | None = None
        self._next = 0.0

    def start(self, run: RunInfo, total: int, step: int = 0) -> None:
        """Open the frame, and draw it: the first update may take seconds."""
        from rich.console import Console
        from rich.live import Live

        super().start(run, total, step)
        assert self.progress is not None
        self._live = Live(Frame(self.progress), console=Console(file=self._stream), auto_refresh=False)
        self._live.start()
        self._draw()

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
            return
        try:
            self._live.console.print(text, markup=False, highlight=False)
        except (OSError, ValueError):  # the terminal went away
            self._live = None

    def note(self, text: str) -> None:
        """A line above the frame, or where the frame will be."""
        if self._live is None:
            self._print(text)
        else:
            self.message(text)

    def end(self, run: Run | None) -> None:
        """Leave the last frame where it is, give the terminal back, and say how it ended."""
        if self._live is not None:
            self._draw()
        if self._live is not None:
            self._live.stop()
            self._live = None
        super().end(run)
