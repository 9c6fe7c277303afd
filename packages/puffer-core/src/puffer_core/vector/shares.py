"""Which process steps which environments."""

from __future__ import annotations

import os
from dataclasses import dataclass

from puffer_core.errors import UsageError
from puffer_core.plan import VectorConfig
from puffer_core.specs import EnvSpec

CORES = "PUFFER_CORES"
"""Variable that holds how many cores a process may use of those it could: it is one of several that share them."""


@dataclass(frozen=True)
class Share:
    """Environments `first` to `first + count - 1` of a batch, with `agents` rows each."""

    first: int
    count: int
    agents: int = 1

    @property
    def envs(self) -> slice:
        """Where they are among the environments."""
        return slice(self.first, self.first + self.count)

    @property
    def rows(self) -> slice:
        """Where they are among the rows."""
        return slice(self.first * self.agents, (self.first + self.count) * self.agents)

    def __str__(self) -> str:
        """In words: `environments 4 to 7`."""
        return f"environment {self.first}" if self.count == 1 else f"environments {self.first} to {self.envs.stop - 1}"


def shares_of(num_envs: int, parts: int) -> list[Share]:
    """As many shares, as even as can be; the first, which is the main process's where it has one, is no larger.

    Example:
        >>> [share.count for share in shares_of(8, 3)]
        [2, 3, 3]
    """
    counts = [num_envs // parts + (part >= parts - num_envs % parts) for part in range(parts)]
    return [Share(sum(counts[:part]), count) for part, count in enumerate(counts)]


def is_isolated(spec: EnvSpec, vector: VectorConfig) -> bool:
    """Whether the environment is to be kept out of the main process: the user or its description says so."""
    return vector.isolate or "isolated" in spec.capabilities


def main_takes_part(vector: VectorConfig) -> bool:
    """Whether in process mode the main process steps a share too: it is free to, and something is left for workers."""
    return not vector.isolate and vector.batches == 1 and vector.num_envs > 1


def cores() -> int:
    """Cores that this process may use: those it is let run on, at most as many as `PUFFER_CORES` says.

    Raises:
        UsageError: that variable is no such number.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = os.environ.get(CORES, str(there))
    if not (most.isdecimal() and int(most) > 0):
        raise UsageError(f"{CORES}: got {most!r}, expected an integer >= 1")
    return min(there, int(most))


def number_of_workers(asked: int, num_envs: int, *, main_steps: bool, main_acts: bool = False) -> int:
    """Workers beside the main process.

    Args:
        asked: by the user; 0: as the cores allow.
        num_envs: environments of the batch.
        main_steps: the main process steps a share too.
        main_acts: it has something else to do meanwhile.

    Raises:
        UsageError: there are fewer environments; names the settings that work.

    Example:
        >>> number_of_workers(3, 8, main_steps=True)
        3
        >>> number_of_workers(8, 8, main_steps=True)
        Traceback (most recent call last):
        puffer_core.errors.UsageError: 8 workers and the main process are more than the 8 environments
        Use --vector.workers 7 or --vector.num-envs 9.
    """
    most = num_envs - main_steps
    if asked > most:
        beside = " and the main process" if main_steps else ""
        fewer = f"--vector.workers {most}" if most else "--vector.mode serial"
        raise UsageError(
            f"{asked} worker{'s' if asked > 1 else ''}{beside} are more than the {num_envs} "
            f"environment{'s' if num_envs > 1 else ''}",
            remedy=f"Use {fewer} or --vector.num-envs {asked + main_steps}.",
        )
    busy = main_steps or main_acts
    return asked or max(1, min(cores() - busy, most))
