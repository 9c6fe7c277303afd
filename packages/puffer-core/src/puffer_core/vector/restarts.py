"""What is counted, said and decided when a worker has died."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import EnvError
from puffer_core.vector.serial import environment_seed
from puffer_core.vector.shares import Share
from puffer_core.vector.worker_process import WorkerDied, WorkerProcess, WorkerTrace

_IN_A_ROW = 3
_RESTART = 0x72657374


def restart_seed(seed: int, restarts: int) -> int:
    """The seed of environments that start anew after a worker's restart number `restarts`; `seed` itself for 0.

    Example:
        >>> restart_seed(3, 0), restart_seed(3, 1) == restart_seed(3, 1) != restart_seed(3, 2)
        (3, True)
    """
    if not restarts:
        return seed
    return int(np.random.SeedSequence((seed, _RESTART, restarts)).generate_state(1, np.uint64)[0] >> 1)


@dataclass
class Member:
    """A worker, its share, how often it was restarted since the last reset and failed since its last step."""

    number: int
    process: WorkerProcess
    share: Share
    restarts: int = 0
    failures: int = 0


class Restarts:
    """Decides whether a worker that died is replaced.

    Args:
        id: of the environments, for messages.
        limit: restarts in all.
    """

    def __init__(self, id: str, limit: int) -> None:
        self._id = id
        self._limit = limit
        self.count = 0

    def admit(self, member: Member, died: WorkerDied, phase: str, seeded: tuple[int, int] | None) -> None:
        """Count a death and say it on stderr.

        Args:
            member: whose process it was.
            died: how.
            phase: what it was doing.
            seeded: seed and number of the batch's environment 0; None before a reset.

        Raises:
            EnvError: it was the third of this worker in a row, or one more than the limit.
        """
        member.failures += 1
        what = f"{self._id}: worker {member.number} ({member.share}) {died.how} in {_where(member, phase, seeded)}"
        if member.failures >= _IN_A_ROW:
            raise EnvError(
                f"{what}, the third time in a row without a completed step",
                remedy="see what the environment does there: --vector.mode serial steps it in the main process",
            ) from _cause(died)
        if self.count >= self._limit:
            raise EnvError(
                f"{what}, and workers may be restarted {self._limit} times in all",
                remedy="allow more with --vector.restarts",
            ) from _cause(died)
        self.count += 1
        member.restarts += 1
        trace = f"\n{textwrap.indent(died.trace, '  ')}" if died.trace else ""
        print(f"warning: {what}; it is replaced, with new episodes{trace}", file=sys.stderr)  # noqa: T201


def _where(member: Member, phase: str, seeded: tuple[int, int] | None) -> str:
    """The phase, and the environment with its seed where the worker left word of it."""
    place, resetting = member.process.place()
    if place is None or seeded is None:
        return phase
    seed, first = seeded
    index = first + member.share.first + place
    return (
        f"{'reset' if resetting else phase} of environment {index}, "
        f"seed {environment_seed(restart_seed(seed, member.restarts), index)}"
    )


def _cause(died: WorkerDied) -> WorkerTrace | None:
    return WorkerTrace(f"in the worker:\n{died.trace}") if died.trace else None


class Losses:
    """Transitions that were lost with workers: marked in the buffers, and counted."""

    def __init__(self) -> None:
        self.count = 0
        self._marked: dict[int, list[slice]] = {}

    def mark(self, buffers: EnvBuffers, slot: int, rows: slice) -> None:
        """The transition to `slot` of these rows does not count."""
        active = buffers.active[slot - 1, rows]
        self.count += int(active.sum())
        active[...] = False
        self._marked.setdefault(slot - 1, []).append(rows)

    def unmark(self, buffers: EnvBuffers, slot: int) -> None:
        """`slot` is about to be written anew; an env with rows that are not always active then says so itself."""
        for rows in self._marked.pop(slot, ()):
            buffers.active[slot, rows] = True

    def forget(self) -> None:
        """There are other buffers now."""
        self._marked.clear()
