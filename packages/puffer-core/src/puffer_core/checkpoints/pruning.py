"""Remove checkpoints of a run that nobody trains at the moment."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from puffer_core.checkpoints.inventory import Found, find, verify
from puffer_core.checkpoints.reading import CHECKPOINTS, remove_leftovers
from puffer_core.checkpoints.retention import remove, retained
from puffer_core.errors import ResourceError
from puffer_core.run.directory import hold


@dataclass(frozen=True)
class Pruned:
    """What became of a run's checkpoints: those removed, those kept, and those left because nothing can be said."""

    removed: list[Found]
    kept: list[Found]
    left: list[Found]


def prune(run: Path, keep_last: int, keep_every: int = 0, *, keep_best: int = 0, dry_run: bool = False) -> Pruned:
    """Remove the checkpoints of a run that `retained` does not name; the run is held meanwhile.

    Every checkpoint is verified first. One that cannot be read, or that another version of this program wrote,
    is left as it is.

    Args:
        run: its directory.
        keep_last: as `retained` has it.
        keep_every: likewise.
        keep_best: likewise, by the scores that the manifests hold.
        dry_run: remove nothing; what would be removed is given.

    Raises:
        ResourceError: another process holds the run, or the place cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     prune(Path(place), keep_last=1)
        Pruned(removed=[], kept=[], left=[])
    """
    with nullcontext() if dry_run else _held(run):
        if not dry_run:
            remove_leftovers(run / CHECKPOINTS)
        found = [verify(item.path) for item in find(run / CHECKPOINTS)]
        left = [item for item in found if item.condition == "unreadable"]
        known = [item for item in found if item.condition != "unreadable"]
        sound = [item.step for item in known if item.condition == "sound"]
        scores = {item.step: item.score for item in known if item.score is not None}
        staying = retained(
            [item.step for item in known], keep_last, keep_every, sound, keep_best=keep_best, scores=scores
        )
        kept = [item for item in known if item.step in staying]
        gone = [item for item in known if item.step not in staying]
        if gone and not dry_run:
            remove(run / CHECKPOINTS, [item.path for item in gone], kept[-1].path)
        return Pruned(gone, kept, left)


def _held(run: Path) -> IO[str]:
    try:
        return hold(run)
    except OSError as error:
        raise ResourceError(
            f"{run}: the run cannot be locked: {error.strerror or error}", remedy="make the place writable"
        ) from error
