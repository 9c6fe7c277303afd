"""What several seeds show while they are trained: a line each, live or plain; and a table of what came of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from puffer_core.cli.output import table_lines
from puffer_core.console.progress import clock, figure
from puffer_core.run.display import warn, write_line
from puffer_core.run.overview import is_run, overview
from puffer_core.run.seed_directories import seed_directory
from puffer_core.run.seeds import SeedDisplay, SeedRuns
from puffer_core.statistics import Estimate, SeedStatistics

if TYPE_CHECKING:
    from rich.live import Live

_LINE_SECONDS = 5.0


def make_seed_display(*, quiet: bool = False, stream: TextIO | None = None) -> SeedDisplay:
    """The display of several seeds that suits a stream: live in a terminal, plain lines elsewhere, the end where quiet.

    Args:
        quiet: show nothing before the end but what the runs say on stderr.
        stream: where to show it; standard output where None.
    """
    out = stream or sys.stdout
    if out is None:  # a closed stream
        return SilentSeeds()
    if quiet:
        return SeedEnd(out)
    return LiveSeeds(out) if out.isatty() else SeedLines(out)


class SilentSeeds:
    """Shows nothing but what the runs say on stderr; the other displays build on it."""

    def start(self, directory: Path, seeds: Sequence[int], done: Sequence[int], at_once: int) -> None:
        """Nothing."""

    def started(self, number: int) -> None:
        """Nothing."""

    def said(self, number: int, line: str) -> None:
        """One line on stderr."""
        warn(f"seed {number}: {line}")

    def ended(self, number: int, code: int) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def end(self, result: SeedRuns | None) -> None:
        """Nothing."""


class SeedEnd(SilentSeeds):
    """Shows what came of it.

    Args:
        stream: where to show it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def end(self, result: SeedRuns | None) -> None:
        """The table and the statistics."""
        for line in summary_lines(result) if result else ():
            write_line(self._stream, line)


class SeedLines(SeedEnd):
    """A line of each running seed every five seconds, and one when it begins and ends."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._directory = Path()
        self._state: dict[int, str] = {}
        self._seen: dict[int, tuple[float, int]] = {}
        self._shown: dict[int, str] = {}
        self._next = 0.0

    def start(self, directory: Path, seeds: Sequence[int], done: Sequence[int], at_once: int) -> None:
        """Say what is trained, and where."""
        self._directory = directory
        self._state = {seed: "finished before" if seed in done else "waiting" for seed in seeds}
        self._next = monotonic() + _LINE_SECONDS
        what = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds, {at_once} at once"
        write_line(self._stream, f"training {what}, in {directory}")
        for seed in done:
            write_line(self._stream, self._line(seed))

    def started(self, number: int) -> None:
        """One line."""
        self._state[number] = "running"
        self._changed(number)

    def ended(self, number: int, code: int) -> None:
        """One line."""
        ended = {0: "finished", 130: "stopped", 143: "stopped"}
        self._state[number] = ended.get(code, f"failed, exit code {code}")
        self._changed(number)

    def tick(self) -> None:
        """A line for each that runs, if it is time."""
        if monotonic() >= self._next:
            self._next = monotonic() + _LINE_SECONDS
            for seed, state in self._state.items():
                if state == "running":
                    self._changed(seed)

    def _changed(self, seed: int) -> None:
        """Its line, unless it says what it said before."""
        line = self._line(seed)
        if line != self._shown.get(seed):
            self._shown[seed] = line
            write_line(self._stream, line)

    def _line(self, seed: int) -> str:
        """Where a seed stands, from what its run has written so far."""
        path, state = seed_directory(self._directory, seed), self._state[seed]
        parts = [f"seed {seed}", state]
        found = overview(path) if is_run(path) else None
        if found and found.step:
            whole = max(found.total_steps or 0, found.step)
            parts += [f"{found.step / whole:4.0%}", f"step {found.step:,}"]
            if state == "running" and (pace := self._pace(seed, found.step)):
                parts.append(f"{pace:,.0f}/s")
            if found.last_return is not None:
                parts.append(f"return {figure(found.last_return)}")
        return "  ".join(parts)

    def _pace(self, seed: int, step: int) -> float:
        """Steps a second since a step of it was seen first: starting a process takes seconds."""
        began, before = self._seen.setdefault(seed, (monotonic(), step))
        return (step - before) / max(monotonic() - began, 1e-9)


class LiveSeeds(SeedLines):
    """A line of each seed in a terminal, drawn anew every second."""

    _live: Live | None = None

    def start(self, directory: Path, seeds: Sequence[int], done: Sequence[int], at_once: int) -> None:
        """Open the frame."""
        from rich.console import Console
        from rich.live import Live

        super().start(directory, seeds, done, at_once)
        self._live = Live(console=Console(file=self._stream), auto_refresh=False)
        self._live.start()

    def said(self, number: int, line: str) -> None:
        """A line above the frame."""
        if self._live is None:
            super().said(number, line)
        else:
            self._live.console.print(f"seed {number}: {line}", markup=False, highlight=False)

    def _changed(self, seed: int) -> None:
        self._draw()

    def tick(self) -> None:
        """Draw."""
        self._draw()

    def _draw(self) -> None:
        from rich.text import Text

        if self._live is None:
            return
        text = Text("\n".join(map(self._line, self._state)), no_wrap=True, overflow="ellipsis")
        try:
            self._live.update(text, refresh=True)
        except (OSError, ValueError):  # the terminal went away: training goes on
            self._live = None

    def end(self, result: SeedRuns | None) -> None:
        """Leave the last frame where it is, give the terminal back, and say what came of it."""
        self._draw()
        if self._live is not None:
            self._live.stop()
            self._live = None
        super().end(result)


def summary_lines(result: SeedRuns) -> Iterator[str]:
    """Several seeds for people: a line of each, and what they say together."""
    header = ["SEED", "STATUS", "MEAN RETURN", "STD", "STEPS", "TIME", "RUN"]
    rows = []
    for seed in result.seeds:
        found = seed.evaluation
        figures = [figure(found.mean_return), figure(found.std_return)] if found else ["-", "-"]
        spent = [f"{seed.step:,}", clock(seed.seconds)]
        rows.append([str(seed.seed), seed.status, *figures, *spent, str(seed.directory)])
    yield from table_lines(header, rows)
    if result.statistics:
        yield ""
        yield from statistics_lines(result.statistics)


def statistics_lines(found: SeedStatistics) -> Iterator[str]:
    r"""Figures over seeds for people.

    Example:
        >>> from puffer_core.statistics import aggregate
        >>> print(*statistics_lines(aggregate([1.0, 2.0])), sep="\n")  # doctest: +NORMALIZE_WHITESPACE
        OVER 2 SEEDS        VALUE  95 % INTERVAL
        interquartile mean  1.5    1 to 2
        mean                1.5    1 to 2
        median              1.5    1 to 2
        n = 2: intervals lie between the lowest and the highest seed, where the true median is 50 % of the time at most
    """
    named = {"interquartile mean": found.interquartile_mean, "mean": found.mean, "median": found.median}
    rows = [[name, figure(estimate.value), _interval(estimate)] for name, estimate in named.items()]
    over = f"OVER {found.n} SEED{'S' if found.n > 1 else ''}"
    yield from table_lines([over, "VALUE", f"{100 * found.confidence:.3g} % INTERVAL"], rows)
    if found.caveat:
        yield found.caveat


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{figure(estimate.low)} to {figure(estimate.high)}"
