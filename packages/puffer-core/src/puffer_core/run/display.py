"""What shows a run while it goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from puffer_core.contracts.logger import RunInfo
from puffer_core.contracts.trainer import Metrics

if TYPE_CHECKING:
    from puffer_core.run.directory import Run


class Display(Protocol):
    """Shows a run while it goes on; calls come from the loop, and must be cheap."""

    def start(self, run: RunInfo, total: int, step: int = 0) -> None:
        """The run begins, or goes on at `step`; `total` is where it ends, in its unit."""
        ...

    def update(self, step: int, metrics: Metrics) -> None:
        """An update ended."""
        ...

    def message(self, text: str) -> None:
        """Something that must be seen."""
        ...

    def note(self, text: str) -> None:
        """Something that is good to know."""
        ...

    def end(self, run: Run | None) -> None:
        """The run ended; None if it failed or was stopped."""
        ...


def write_line(stream: TextIO, line: str) -> bool:
    """Write a line and flush; False if the stream is gone: who trains goes on without it."""
    try:
        print(line, file=stream, flush=True)
    except UnicodeEncodeError:
        print(line.encode("ascii", "replace").decode(), file=stream, flush=True)
    except (OSError, ValueError):  # the reader of a pipe went away, or the stream was closed
        return False
    return True


def warn(text: str) -> None:
    """Write a line on stderr, where there is one."""
    if sys.stderr is not None:
        write_line(sys.stderr, text)


class Silent:
    """A display that shows nothing but messages, on stderr."""

    def start(self, run: RunInfo, total: int, step: int = 0) -> None:
        """Nothing."""

    def update(self, step: int, metrics: Metrics) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """One line on stderr."""
        warn(text)

    def note(self, text: str) -> None:
        """Nothing."""

    def end(self, run: Run | None) -> None:
        """Nothing."""
