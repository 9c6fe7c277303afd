"""Several seeds from Python: train them, and evaluate what they learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from puffer_core.errors import UsageError
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost
from puffer_core.run.seeds import SeedRun, SeedRuns, train_many
from puffer_core.seed_console import SilentSeeds, make_seed_display

__all__ = ["SeedRun", "SeedRuns", "train_plan", "train_seeds"]


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
