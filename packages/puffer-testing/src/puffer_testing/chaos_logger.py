"""ChaosLogger: a metric logger that fails where, how and how often it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puffer_core.contracts.logger import ArtifactKind, RunInfo
from puffer_core.errors import UsageError, did_you_mean
from puffer_testing.faults import ACTS


class ChaosLogger:
    """Keeps what it is given, and fails in one way in one of its methods.

    Args:
        config: none.
        fault: what is done, of `puffer_testing.faults.ACTS`; empty: nothing.
        phase: `open`, `log`, `artifact` or `close`.
        step: `log` and `artifact` fail from this step on; None: at every.
        times: fails so many times at most; None: always.
        appends: whether it can only append: `open` then says what it has, and takes nothing back.
        kept: steps that an earlier one took.

    Raises:
        UsageError: no such fault or phase.

    Example:
        >>> from pathlib import Path
        >>> logger = ChaosLogger(fault="raise", step=16)
        >>> run = RunInfo(id="r", directory=Path(), trainer="t", source="e", config={}, unit="env_steps")
        >>> logger.open(run, None)
        >>> logger.log(8, {"loss": 0.5})
        >>> logger.log(16, {"loss": 0.25})
        Traceback (most recent call last):
        RuntimeError: chaos was asked for
        >>> logger.lines
        [(8, {'loss': 0.5})]
    """

    PHASES = ("open", "log", "artifact", "close")

    def __init__(
        self,
        config: Any = None,
        *,
        fault: str = "",
        phase: str = "log",
        step: int | None = None,
        times: int | None = None,
        appends: bool = False,
        kept: tuple[int, ...] = (),
    ) -> None:
        if fault and fault not in ACTS:
            raise UsageError(f"there is no fault {fault!r}", remedy=did_you_mean(fault, ACTS))
        if phase not in self.PHASES:
            raise UsageError(f"there is no phase {phase!r}", remedy=did_you_mean(phase, self.PHASES))
        self._fault, self._phase, self._step, self._left = fault, phase, step, times
        self._appends = appends
        self.lines: list[tuple[int, Mapping[str, float]]] = [(step, {}) for step in kept]
        self.calls: list[str] = []
        self.opened_at: int | None = None
        """The `last_step` of the last `open`."""

    def open(self, run: RunInfo, last_step: int | None) -> int | None:
        """Take back what is beyond `last_step`, or say what is there."""
        self._meet("open")
        self.opened_at = last_step
        if self._appends:
            return self.lines[-1][0] if self.lines else -1
        self.lines = [line for line in self.lines if last_step is not None and line[0] <= last_step]
        return None

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep a line."""
        self._meet("log", step)
        self.lines.append((step, metrics))

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Keep nothing."""
        self._meet("artifact", step)

    def close(self) -> None:
        """Nothing is to be freed."""
        self._meet("close")

    def _meet(self, phase: str, step: int | None = None) -> None:
        self.calls.append(phase)
        due = phase == self._phase and (step is None or self._step is None or step >= self._step)
        if due and self._fault and self._left != 0:
            self._left = None if self._left is None else self._left - 1
            ACTS[self._fault]()
