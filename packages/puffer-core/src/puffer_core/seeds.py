"""Several seeds from Python: train them, and evaluate what they learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puffer_core.console.seeds import SilentSeeds, make_seed_display
from puffer_core.durable import parse_json
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.evaluation import Evaluation
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost
from puffer_core.run.seed_directories import OPTIONS, seed_directory, seeds_in
from puffer_core.run.seeds import SeedRun, SeedRuns, train_many
from puffer_core.statistics import SeedStatistics, aggregate, require_scipy

__all__ = ["SeedEvaluations", "SeedRun", "SeedRuns", "evaluate_seeds", "resume_seeds", "train_plan", "train_seeds"]


def train_seeds(
    trainer: str,
    *,
    env: str | None = None,
    dataset: str | None = None,
    seeds: int = 5,
    parallel: int = 0,
    config: str | Path | None = None,
    host: PluginHost | None = None,
    quiet: bool = True,
    **options: Any,
) -> SeedRuns:
    """Train with several seeds, each in a process of its own, and aggregate. The same as `puffer train --seeds`.

    Args:
        trainer: its name, as for `train`.
        env: id of the env to learn in.
        dataset: what to learn from instead.
        seeds: how many, >= 1: `options["seed"]` (0 by default) and those that follow it.
        parallel: how many at once; 0: as many as the cores allow.
        config: a TOML file of options, which `options` override.
        host: the plugins that the options are checked against; each process discovers its own.
        quiet: show nothing while they train.
        options: as for `train`. `run` names the directory of them all, each seed's is `seed-N` in it; with
            `resume="auto"` those that are finished are left as they are, and the others go on.

    Returns:
        The runs, each with its last evaluation, and the statistics over them.

    Raises:
        UsageError: an unknown name, an option that is not valid, or SciPy is not installed.
        SeedsFailed: some failed, with the exit code of the first; the others were trained.
        SeedsStopped: a signal ended them; each was saved before.

    Example:
        >>> from puffer_core import train_seeds
        >>> train_seeds("ppo", env="cartpole", seeds=0)
        Traceback (most recent call last):
        puffer_core.errors.UsageError: train_seeds: got seeds=0, expected an integer >= 1
    """
    from puffer_core.config import resolve

    if env and dataset:
        raise UsageError(f"train_seeds: got env={env!r} and dataset={dataset!r}, expected one of them")
    if seeds < 1:
        raise UsageError(f"train_seeds: got seeds={seeds}, expected an integer >= 1")
    host = host or PluginHost.discover()
    given = options | {"quiet": quiet, "seeds": seeds, "parallel": parallel}
    plan = resolve(host, trainer, env or dataset, overrides=given, file=config)
    return train_plan(plan, host, silent=quiet)


def train_plan(plan: RunPlan, host: PluginHost, *, silent: bool = False) -> SeedRuns:
    """Train a plan whose `several` asks for more than one run.

    Args:
        plan: every choice.
        host: the plugins.
        silent: show nothing at all; otherwise `plan.options.quiet` says what is shown.

    Raises:
        PufferError: as `train_seeds` does.
    """
    display = SilentSeeds() if silent else make_seed_display(quiet=plan.options.quiet)
    return train_many(plan, host, display)


def resume_seeds(directory: str | Path, host: PluginHost, argv: Sequence[str] = ()) -> SeedRuns:
    """Go on with the seeds in a directory that are not finished, as its `options.json` says.

    Args:
        directory: that holds them.
        host: the plugins.
        argv: flags for options that a resume may change, and for more seeds.

    Raises:
        CheckpointError: the directory's options cannot be read.
        PufferError: as `train_seeds` does.
    """
    from puffer_core.config import plan_of

    file = Path(directory) / OPTIONS
    try:
        tree = dict(parse_json(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{file}: cannot be read: {error}",
            remedy="`puffer resume` takes each of the seeds beside it by itself, too",
        ) from error
    plan = plan_of(host, tree, argv=argv, overrides={"run": str(directory), "resume": "auto"})
    return train_plan(plan, host)


@dataclass(frozen=True)
class SeedEvaluations:
    """What several seeds earn, each in an evaluation of its own.

    Args:
        evaluations: by the seed that each run was trained with.
        statistics: over their mean returns; None where one of those is not finite.
    """

    evaluations: dict[int, Evaluation]
    statistics: SeedStatistics | None

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "runs": [found.summary() | {"run": f"seed-{seed}"} for seed, found in self.evaluations.items()],
            "statistics": self.statistics.to_json() if self.statistics else None,
            "caveat": self.statistics.caveat if self.statistics else "",
        }


def evaluate_seeds(directory: str | Path, *, host: PluginHost | None = None, **options: Any) -> SeedEvaluations:
    """Evaluate every run that `train_seeds` left in a directory, one after another.

    Args:
        directory: that holds the runs.
        host: the plugins; discovered where None.
        options: as for `evaluate`, but `video`. Where `seed` is not given each run has the seed of its own evaluations.

    Raises:
        CheckpointError: no runs of seeds lie there, or one has nothing sound to load.
        UsageError: SciPy is not installed.
        EnvError: the env cannot be made.

    Example:
        >>> evaluate_seeds("runs/none")
        Traceback (most recent call last):
        puffer_core.errors.CheckpointError: runs/none: no runs of several seeds lie there
        name a directory that `puffer train --seeds` made
    """
    from puffer_core.api import evaluate

    require_scipy()
    path, host = Path(directory), host or PluginHost.discover()
    if not (seeds := seeds_in(path)):
        raise CheckpointError(
            f"{path}: no runs of several seeds lie there", remedy="name a directory that `puffer train --seeds` made"
        )
    found = {seed: evaluate(seed_directory(path, seed), host=host, **options) for seed in seeds}
    returns = [evaluation.mean_return for evaluation in found.values()]
    return SeedEvaluations(found, aggregate(returns) if all(map(math.isfinite, returns)) else None)
