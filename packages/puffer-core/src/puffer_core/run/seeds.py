"""Several seeds of one plan: trained in processes of their own, and told together."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from puffer_core.checkpoints.reading import load
from puffer_core.durable import json_bytes, parse_json, replace_file
from puffer_core.errors import CheckpointError, PufferError, ResourceError, UsageError
from puffer_core.evaluation import Evaluation
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost
from puffer_core.run.changes import changes
from puffer_core.run.directory import LOCK, Run, hold, new_name
from puffer_core.run.overview import is_run, overview
from puffer_core.run.processes import Listener, Processes
from puffer_core.run.record import RunRecord
from puffer_core.run.seed_directories import OPTIONS, seed_directory
from puffer_core.run.seed_jobs import environment, how_many_at_once, job
from puffer_core.statistics import SeedStatistics, aggregate, require_scipy

SUMMARY = "summary.json"
_NOT_OF_A_RUN = ("seed", "seeds", "parallel", "run", "resume", "quiet")
_SEEDS = 2**63


@dataclass(frozen=True)
class SeedRun:
    """One seed of several.

    Args:
        seed: of the run.
        directory: of the run, which need not be there.
        status: as `puffer runs` has it; `waiting` where it has not begun.
        step: where it stands, in its trainer's unit.
        seconds: spent in it, over all resumes, as far as it was saved.
        run: with its last evaluation; None where there is nothing sound to load.
    """

    seed: int
    directory: Path
    status: str
    step: int = 0
    seconds: float = 0.0
    run: Run | None = None

    @property
    def evaluation(self) -> Evaluation | None:
        """The last one of the run."""
        return self.run.evaluation if self.run else None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        found = self.evaluation
        figures = {
            name: value if value is not None and math.isfinite(value) else None
            for name in ("mean_return", "std_return", "mean_length")
            for value in (getattr(found, name, None),)
        }
        return {
            "seed": self.seed,
            "run": self.directory.name,
            "status": self.status,
            "step": self.step,
            "seconds": self.seconds,
            **figures,
            "episodes": found.episodes if found else 0,
        }


@dataclass(frozen=True)
class SeedRuns:
    """Several seeds of one plan.

    Args:
        directory: that holds them all.
        seeds: one of each, ascending.
        statistics: over the mean returns of the final evaluations of those that are finished; None where there is none.
    """

    directory: Path
    seeds: tuple[SeedRun, ...]
    statistics: SeedStatistics | None

    @property
    def runs(self) -> list[Run]:
        """Those that can be used, each with its last evaluation."""
        return [seed.run for seed in self.seeds if seed.run is not None]

    def to_json(self) -> dict[str, Any]:
        """What `summary.json` holds."""
        return {
            "seeds": [seed.to_json() for seed in self.seeds],
            "statistics": self.statistics.to_json() if self.statistics else None,
            "caveat": self.statistics.caveat if self.statistics else "",
        }


class SeedDisplay(Listener, Protocol):
    """Shows several seeds while they are trained."""

    def start(self, directory: Path, seeds: Sequence[int], done: Sequence[int], at_once: int) -> None:
        """They begin, `at_once` side by side; those in `done` were finished before."""
        ...

    def end(self, result: SeedRuns | None) -> None:
        """All ended; None where a signal ended them."""
        ...


class SeedsStopped(PufferError):  # noqa: N818  nothing went wrong
    """A signal ended the runs after each was saved. The exit code is the shell's, 128 + signal."""

    prefix = ""

    def __init__(self, signum: int, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = 128 + signum


class SeedsFailed(PufferError):  # noqa: N818  named as what happened, like SeedsStopped
    """Some of the runs failed. The exit code is that of the first."""

    def __init__(self, code: int, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = code


def train_many(plan: RunPlan, host: PluginHost, display: SeedDisplay) -> SeedRuns:
    """Train a plan with `plan.several.seeds` seeds, from `plan.options.seed` on, in processes of their own.

    Returns:
        All of them; `summary.json` says the same.

    Raises:
        UsageError: SciPy is not installed, the directory holds something else, or a resume changes what it may not.
        ResourceError: another process holds the directory, or it cannot be written.
        SeedsStopped: a signal ended them; each was saved before.
        SeedsFailed: some failed; the others were trained.
    """
    require_scipy()
    first, count = plan.options.seed, plan.several.seeds
    if first + count > _SEEDS:
        raise UsageError(f"--seeds: got {count} from seed {first} on, expected the last to be below 2**63")
    seeds = range(first, first + count)
    at_once = how_many_at_once(plan, count)
    with _held(plan) as (directory, changed):
        done = [] if changed else [seed for seed in seeds if _finished(seed_directory(directory, seed))]
        display.start(directory, seeds, done, at_once)
        processes = Processes(environment(host, at_once), display)
        result = None
        try:
            jobs = [job(plan, directory, seed) for seed in seeds if seed not in done]
            codes = processes.run(jobs, at_once)
            if not processes.signum:
                result = gather(directory, seeds)
                replace_file(directory / SUMMARY, json_bytes(result.to_json()))
        finally:
            display.end(result)
    _tell(directory, seeds, codes, processes.signum)
    assert result is not None
    return result


def _tell(directory: Path, seeds: Sequence[int], codes: dict[int, int], signum: int) -> None:
    """Raise what is to be said of runs that did not end well."""
    on = f"go on: puffer resume {shlex.quote(str(directory))}"
    if signum:
        ended = [seed for seed in seeds if _finished(seed_directory(directory, seed))]
        raise SeedsStopped(signum, f"stopped: {len(ended)} of {len(seeds)} seeds are finished, in {directory}", on)
    if failed := {seed: code for seed, code in codes.items() if code}:
        named = ", ".join(f"seed {seed} (exit code {code})" for seed, code in failed.items())
        raise SeedsFailed(
            next(iter(failed.values())), f"{len(failed)} of {len(seeds)} seeds failed: {named}; in {directory}", on
        )


def gather(directory: Path, seeds: Sequence[int]) -> SeedRuns:
    """What became of seeds: where each stands, and what those that are finished say together."""
    found = tuple(_look(seed, seed_directory(directory, seed)) for seed in seeds)
    finished = [seed.evaluation.mean_return for seed in found if seed.evaluation and seed.status == "finished"]
    returns = [value for value in finished if math.isfinite(value)]
    return SeedRuns(directory, found, aggregate(returns) if returns else None)


def _look(seed: int, directory: Path) -> SeedRun:
    if not is_run(directory):
        return SeedRun(seed, directory, "waiting")
    found = overview(directory)
    try:
        record = RunRecord()
        state = load(Run(directory).latest, ["run"]).states["run"]
        record.load_state_dict(state)
    except CheckpointError:
        return SeedRun(seed, directory, found.status, found.step)
    return SeedRun(
        seed, directory, found.status, found.step, float(state["seconds"]), Run(directory, record.evaluation)
    )


def _finished(directory: Path) -> bool:
    return is_run(directory) and overview(directory).status == "finished"


@contextmanager
def _held(plan: RunPlan) -> Iterator[tuple[Path, bool]]:
    """The directory of the seeds, held and with its `options.json`; and whether a resume changes those."""
    directory = Path(plan.options.run or Path("runs") / new_name(plan.trainer.spec.name, plan.source))
    wanted = _of_a_run(plan.tree) | plan.several.model_dump(mode="json") | {"seed": plan.options.seed}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        occupied = any(entry.name != LOCK for entry in directory.iterdir())
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--run {directory}: {error.filename} is a file", remedy="name a new directory") from error
    except OSError as error:
        raise ResourceError(
            f"{directory}: cannot be made: {error.strerror}", remedy="name another --run DIR"
        ) from error
    changed = occupied and bool(_changes(directory, plan))
    with hold(directory):
        replace_file(directory / OPTIONS, json_bytes(wanted))
        yield directory, changed


def _changes(directory: Path, plan: RunPlan) -> dict[str, Any]:
    """What a resume changes in a directory that has something in it.

    Raises:
        UsageError: it may not; or this is no resume; or something else lies there.
    """
    if plan.options.resume != "auto":
        raise UsageError(
            f"--run {directory}: the directory is not empty, and a run never writes over another",
            remedy="name a new directory; or --resume auto to go on with the seeds in it",
        )
    try:
        before = parse_json((directory / OPTIONS).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--run {directory}: does not hold several seeds: {OPTIONS} cannot be read: {error}",
            remedy="name a directory that `puffer train --seeds` made; leave --seeds out to go on with a single run",
        ) from error
    return dict(changes(_of_a_run(before), _of_a_run(plan.tree)))


def _of_a_run(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tree.items() if name not in _NOT_OF_A_RUN}
