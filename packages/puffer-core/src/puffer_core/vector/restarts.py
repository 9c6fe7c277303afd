"""What is counted, said and decided when a worker has died."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import EnvError
from puffer_core.vector.seeding import environment_seed, restart_seed
from puffer_core.vector.shares import Share
from puffer_core.vector.worker_process import WorkerDied, WorkerProcess, WorkerTrace

_IN_A_ROW = 3


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

    def admit(self, member: Member, died: WorkerDied, seeded: tuple[int, int] | None) -> None:
        """Count a death and say it on stderr.

        Args:
            member: whose process it was.
            died: how.
            seeded: seed and number of the batch's environment 0; None before a reset.

        Raises:
            EnvError: it was the third of this worker in a row, or one more than the limit.
        """
        member.failures += 1
        what = f"{self._id}: worker {member.number} ({member.share}) {died.how} in {_where(member, seeded)}"
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


def _where(member: Member, seeded: tuple[int, int] | None) -> str:
    """The phase, and the environment with its seed where the worker left word of it."""
    phase, (place, resetting) = member.process.doing, member.process.place()
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
        if slot == 0:
            return  # no transition leads there
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


@contextmanager
def first_slot_moved(part: EnvBuffers, slot: int) -> Iterator[None]:
    """What is written into slot 0 meanwhile ends in `slot`; every other slot is then as it was."""
    arrays = part.arrays()
    before = {name: array[0].copy() for name, array in arrays.items()}
    active = part.active.copy()  # `bind` may set all of it
    try:
        yield
        written = {name: array[0].copy() for name, array in arrays.items()}
    except BaseException:
        slot, written = 0, before
        raise
    finally:
        part.active[...] = active
        for name, array in arrays.items():
            array[0] = before[name]
            array[slot] = written[name]
