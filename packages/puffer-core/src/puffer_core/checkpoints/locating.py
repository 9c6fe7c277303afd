"""Which checkpoint of which run is meant."""

from __future__ import annotations

from pathlib import Path

from puffer_core.checkpoints.reading import is_checkpoint, read_manifest, step_of
from puffer_core.checkpoints.retention import best
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.run.directory import Run
from puffer_core.run.overview import is_run
from puffer_core.run.seed_directories import seeds_in


def locate(run: Run | str | Path, checkpoint: str | int = "last") -> tuple[Run, Path]:
    """A run and the checkpoint of it that is meant.

    Args:
        run: the run, its directory, or the directory of one of its checkpoints.
        checkpoint: `last`; `best`, the one of the highest score (`--best-metric`); or a step. Of a run that is
            named by a checkpoint, that one.

    Raises:
        CheckpointError: not a run or a checkpoint of one; or it has none such.
        UsageError: `checkpoint` is none of these, or chooses among checkpoints where one is named already.

    Example:
        >>> locate("runs/mine", "worst")
        Traceback (most recent call last):
        puffer_core.errors.UsageError: checkpoint: got 'worst', expected last, best or a step
    """
    wanted = str(checkpoint)
    if wanted not in ("last", "best") and not (wanted.isascii() and wanted.isdecimal()):
        raise UsageError(f"checkpoint: got {wanted!r}, expected last, best or a step")
    if not isinstance(run, Run) and is_checkpoint(Path(run)):
        if wanted != "last":
            raise UsageError(f"checkpoint: got {wanted!r} for {run}, which is a checkpoint, expected a run")
        return Run(Path(run).resolve().parent.parent), Path(run)
    found = run if isinstance(run, Run) else _run(Path(run))
    if wanted == "last":
        return found, found.latest
    return found, _best(found) if wanted == "best" else _at(found, int(wanted))


def _run(path: Path) -> Run:
    """The run in a directory.

    Raises:
        CheckpointError: there is none; where there are several seeds, says so.
    """
    if path.is_file():
        raise CheckpointError(
            f"{path}: a file, expected the directory of a run",
            remedy=f"`puffer eval {path} --env ID` plays it, if `puffer export` wrote it",
        )
    seeds = [] if is_run(path) else seeds_in(path)
    if seeds:
        raise CheckpointError(
            f"{path}: the runs of {len(seeds)} seeds, expected one run",
            remedy=f"name one of them, such as {path / f'seed-{seeds[0]}'}; `puffer eval {path}` evaluates them all",
        )
    return Run(path)


def _best(run: Run) -> Path:
    scores = {}
    for path in run.checkpoints:
        score = read_manifest(path).score
        if score is not None:
            scores[step_of(path) or 0] = score
    if not scores:
        raise CheckpointError(
            f"{run.directory}: no checkpoint there has a score, so none is the best",
            remedy="train with --eval-every STEPS, or name a step or `last`",
        )
    return _at(run, best(scores, 1)[0])


def _at(run: Run, step: int) -> Path:
    steps = {step_of(path): path for path in run.checkpoints}
    if step not in steps:
        known = ", ".join(f"{known:,}" for known in steps) or "none"
        raise CheckpointError(f"{run.directory}: no checkpoint of step {step:,}", remedy=f"checkpoints there: {known}")
    return steps[step]
