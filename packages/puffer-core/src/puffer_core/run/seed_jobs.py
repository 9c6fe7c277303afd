"""What the processes of several seeds are: their commands, how many at once, and the cores and threads of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from puffer_core.config.sources import NOT_OPTIONS, PREFIX
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost
from puffer_core.plugins.blocking import DISABLE
from puffer_core.run.processes import Job
from puffer_core.run.seed_directories import OPTIONS, seed_directory
from puffer_core.vector.forkserver import THREADS, search_path
from puffer_core.vector.shares import CORES, cores


def job(plan: RunPlan, directory: Path, seed: int) -> Job:
    """The command that trains a seed, or goes on with it; its options come from `options.json` and nowhere else."""
    trainer = plan.tree["trainer"]
    return Job(
        seed,
        [
            *(sys.executable, "-P", "-m", "puffer_core", "train", trainer),
            *("--config", str(directory / OPTIONS), "--seeds", "0", "--seed", str(seed)),
            *("--run", str(seed_directory(directory, seed)), "--resume", plan.options.resume, "--quiet"),
        ],
    )


def cores_of_one(plan: RunPlan, there: int) -> int:
    """Cores that one run keeps busy, 1..there: its workers' and its own, or its engine's threads where it names them.

    With workers "as many as the cores allow" that is all of them. `--vector.mode auto` makes do with one.

    Args:
        plan: of the run.
        there: cores that this process may use.
    """
    vector, threads = plan.vector, plan.tree["backend"].get("threads")
    processes = (vector.workers + 1 if vector.workers else there) if vector.mode == "process" else 1
    return min(there, max(processes, threads if isinstance(threads, int) else 1))


def how_many_at_once(plan: RunPlan, count: int) -> int:
    """Runs that are trained side by side: as `--parallel` says, or as the cores allow."""
    there = cores()
    return min(count, plan.several.parallel or max(1, there // cores_of_one(plan, there)))


def environment(host: PluginHost, at_once: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of each process: the same plugins and modules as here, and its share of the cores.

    Variables that set options are left out, as they have been read already. How many threads numeric libraries start is
    left as it is where somebody has set it.
    """
    share = str(max(1, cores() // at_once))
    kept = {name: value for name, value in environ.items() if not name.startswith(PREFIX) or name in NOT_OPTIONS}
    disabled = [record.name for record in host.records if record.status == "disabled"]
    return {
        **dict.fromkeys(THREADS, share),
        **kept,
        CORES: share,
        DISABLE: ",".join(disabled),
        "PYTHONPATH": os.pathsep.join(search_path()),
    }
