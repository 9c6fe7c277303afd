"""A logger behind a queue, in a thread of its own: it can be slow, raise or hang, and training goes on."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

from puffer_core.contracts.logger import ArtifactKind, MetricLogger, RunInfo
from puffer_core.errors import UsageError
from puffer_core.plugins.faults import describe

_PAUSE = 0.1
"""Seconds between two looks of a thread into its empty queue: training only appends, and wakes nobody."""

Lines: TypeAlias = Callable[[int], Iterable[tuple[int, Mapping[str, float]]]]
"""Gives step and metrics of what was logged after a step, before the run was resumed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a logger may hold, and how long it may take.

    Args:
        items: log lines and artifacts that may wait, about 2 kB a line; those beyond are dropped and counted.
        artifact_bytes: what waiting artifacts may hold in all; one that is alone may be larger.
        call: seconds that `open`, `log` and `artifact` may take.
        close: seconds that taking the rest and closing may take when the run ends.
        retries: seconds of rest before each further try of a call that raised.

    Example:
        >>> Limits(close=5.0).items
        10000
    """

    items: int = 10_000
    artifact_bytes: int = 256 << 20
    call: float = 120.0
    close: float = 90.0
    retries: tuple[float, ...] = (0.1, 1.0, 10.0)


@dataclass(frozen=True, slots=True)
class _Artifact:
    step: int
    name: str
    kind: ArtifactKind
    value: Any
    size: int


_Item: TypeAlias = "tuple[int, Mapping[str, float]] | _Artifact | None"
"""What waits: metrics, an artifact, or None where the logger's mark is to be kept."""


class QueuedLogger:
    """One logger with its queue and thread. `open`, `log`, `artifact`, `keep_mark` and `finish` return at once.

    A call that raises, SystemExit too, is tried again; `open` or `log` that keeps raising ends the logger, an artifact
    is dropped alone. A call that takes too long leaves the logger to itself: its thread never holds up the process.

    Args:
        name: as people know the logger.
        logger: called from the thread alone.
        tell: takes the line that says what became of it; called from the thread too.
        mark: is told, from the thread, the step up to which the logger has taken everything.
        limits: of its queue and its time.
    """

    def __init__(
        self,
        name: str,
        logger: MetricLogger,
        tell: Callable[[str], None],
        mark: Callable[[str, int], None],
        limits: Limits,
    ) -> None:
        self.name = name
        self._logger, self._tell, self._mark, self._limits = logger, tell, mark, limits
        self._waiting: deque[_Item] = deque()
        self._finishing = threading.Event()
        self._thread: threading.Thread | None = None
        self._over = self._settled = False
        """Whether it takes nothing more, and whether all was said and counted that follows from that."""
        self._call, self._called = "", math.inf
        """What the thread is in, and since when; infinity while it is in nothing."""
        self._refused, self._lost = 0, 0  # counted by the caller, and by the thread
        self._bytes_given, self._bytes_taken = 0, 0
        self._incomplete_from = math.inf
        """The first step whose metrics were dropped: the mark stays below."""
        self._whole_to = -1
        self._recovered = False

    @property
    def dropped(self) -> int:
        """Log lines and artifacts that the logger never took."""
        return self._refused + self._lost

    @property
    def alive(self) -> bool:
        """Whether it takes metrics, or finishes."""
        return self._thread is not None and self._thread.is_alive() and not self._settled

    def open(self, run: RunInfo, last_step: int | None, lines: Lines) -> None:
        """Start the thread: it opens the logger, gives it what it lacks of `lines`, then what is logged from now on."""
        self._whole_to = -1 if last_step is None else last_step
        self._thread = threading.Thread(
            target=self._serve, args=(run, last_step, lines), name=f"logger {self.name}", daemon=True
        )
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand over metrics, which nobody changes any more."""
        if self._over or len(self._waiting) >= self._limits.items:
            self._refused += 1
            self._incomplete_from = min(self._incomplete_from, step)
        else:
            self._waiting.append((step, metrics))

    def artifact(self, step: int, name: str, kind: ArtifactKind, value: Any) -> None:
        """Hand over an artifact, which nobody changes any more; a tensor's graph is let go of."""
        value = value.detach() if hasattr(value, "detach") else value
        size = int(getattr(value, "nbytes", 0) or (len(value) if isinstance(value, str) else 0))
        held = self._bytes_given - self._bytes_taken
        full = len(self._waiting) >= self._limits.items or (held and held + size > self._limits.artifact_bytes)
        if self._over or full:
            self._refused += 1
            return
        self._bytes_given += size
        self._waiting.append(_Artifact(step, name, kind, value, size))

    def keep_mark(self) -> None:
        """Write the logger's mark once it has taken all that was logged before."""
        if not self._over and len(self._waiting) < self._limits.items:
            self._waiting.append(None)

    def check_time(self, now: float) -> None:
        """Leave the logger to itself if its call takes too long; `now` as `monotonic` gives it."""
        if now - self._called > self._limits.call:
            self._abandon(f"{self._call} did not return within {self._limits.call:g} s")

    def finish(self) -> None:
        """Let the thread take what waits, close the logger, and end."""
        self._finishing.set()

    def join(self, until: float) -> bool:
        """Wait for the thread, not beyond `until`, which `monotonic` tells; whether it is done or given up."""
        while self.alive and (now := monotonic()) < until:
            self.check_time(now)
            assert self._thread is not None
            self._thread.join(min(until - now, _PAUSE))
        return not self.alive

    def leave(self, seconds: float) -> None:
        """Give up on a logger that is not done so many seconds after the run's end."""
        doing = f"{self._call} did not return" if self._called < math.inf else f"{len(self._waiting)} were waiting"
        self._abandon(f"{doing} when its {seconds:g} s after the run's end were over")

    def _abandon(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self._over = True
        waiting, self._waiting = self._waiting, deque()
        self._lost += sum(item is not None for item in waiting)
        self._tell(f"logger {self.name} was dropped: {reason}; metrics.jsonl has everything")
        self._settled = True

    def _serve(self, run: RunInfo, last_step: int | None, lines: Lines) -> None:
        """The thread."""
        try:
            has = self._try("open", run, last_step)
            after = self._whole_to if has is None else int(has)
            self._whole_to = min(self._whole_to, after) if last_step is not None else -1
            for step, metrics in lines(after):
                self._take_metrics(step, metrics)
            self._take_all(after)
            self._try("close")
            self._keep_mark()
        except _Ended as ended:
            if not self._over:
                self._keep_mark()
                self._give_up(str(ended))
                self._close_quietly()
        except BaseException as error:  # noqa: BLE001  nothing of a logger's thread may reach the run
            self._abandon(describe(error))

    def _take_all(self, after: int) -> None:
        """Give the logger what comes, up to `finish`, but nothing up to the step `after`, which it has."""
        while True:
            try:
                item = self._waiting.popleft()
            except IndexError:
                if self._finishing.is_set() and not self._waiting:
                    return
                self._finishing.wait(_PAUSE)
                continue
            if item is None:
                self._keep_mark()
            elif isinstance(item, _Artifact):
                self._take_artifact(item, after)
            elif item[0] > after:
                self._take_metrics(*item)

    def _take_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Without those that are NaN: a metric that has no value at this step, as most have no evaluation."""
        try:
            self._try("log", step, {name: value for name, value in metrics.items() if value == value})
        except _Ended:
            self._lost += 1
            raise
        if step < self._incomplete_from:
            self._whole_to = max(self._whole_to, step)

    def _take_artifact(self, item: _Artifact, after: int) -> None:
        self._bytes_taken += item.size
        if item.step <= after:
            return
        try:
            self._try("artifact", item.step, item.name, item.kind, item.value)
        except _Ended as ended:
            self._lost += 1
            if self._over:
                raise
            self._tell_once(f"logger {self.name}: {ended}; {item.name} of step {item.step:,} is dropped")

    def _keep_mark(self) -> None:
        if self._whole_to >= 0:
            self._mark(self.name, self._whole_to)

    def _try(self, method: str, *arguments: Any) -> Any:
        """Call the logger, again where it raises.

        Raises:
            _Ended: it kept raising, or was given up meanwhile.
        """
        failed = ""
        for rest in (*self._limits.retries, None):
            self._call, self._called = method, monotonic()
            try:
                result = getattr(self._logger, method)(*arguments)
            except BaseException as error:  # noqa: BLE001  SystemExit too: a logger must never end a run
                failed = f"{method} raised {describe(error)}"
                hopeless = isinstance(error, UsageError)
            else:
                if failed and not self._over:
                    self._tell_once(f"logger {self.name}: {failed}; the next try went well")
                if not self._over:
                    return result
            finally:
                self._called = math.inf
            if self._over or hopeless or rest is None:
                break
            self._finishing.wait(rest)
        raise _Ended(failed)

    def _tell_once(self, text: str) -> None:
        if not self._recovered:
            self._recovered = True
            self._tell(text)

    def _close_quietly(self) -> None:
        """It was reported already; here it may free what it holds."""
        with suppress(BaseException):
            self._logger.close()


class _Ended(Exception):  # noqa: N818  not an error of ours
    """The logger is called no more."""
