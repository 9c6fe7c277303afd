"""What shows a run while it goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

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


class Silent:
    """A display that shows nothing but messages, on stderr."""

    def start(self, run: RunInfo, total: int, step: int = 0) -> None:
        """Nothing."""

    def update(self, step: int, metrics: Metrics) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """One line on stderr."""
        print(text, file=sys.stderr)  # noqa: T201

    def note(self, text: str) -> None:
        """Nothing."""

    def end(self, run: Run | None) -> None:
        """Nothing."""
