"""Which checkpoints of a run stay when others are removed, and how those go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from puffer_core.checkpoints.reading import point_at
from puffer_core.durable import sync_directory
from puffer_core.errors import ResourceError


def retained(
    steps: Collection[int],
    keep_last: int,
    keep_every: int = 0,
    sound: Collection[int] | None = None,
    *,
    keep_best: int = 0,
    scores: Mapping[int, float] | None = None,
) -> set[int]:
    """The steps whose checkpoints stay: a subset of `steps`, and never without the last sound one.

    A damaged checkpoint counts for nothing, and goes. Where none is sound, all stay: somebody may want to mend one.

    Args:
        steps: of the checkpoints there are, >= 0.
        keep_last: this many of the latest that are sound stay; 0: all of those.
        keep_every: of those at or after each multiple of this many steps, the first stays too; 0: none for that.
        sound: steps whose checkpoints are as they were written; all where None.
        keep_best: this many of the sound ones with the best scores stay too, as `best` has it.
        scores: mean returns of evaluations, by step, of the steps that have one.

    Example:
        >>> sorted(retained([0, 10, 20, 30, 40, 50], keep_last=2, keep_every=25))
        [30, 40, 50]
        >>> sorted(retained([10, 20, 30], keep_last=1, sound={10, 20}))
        [20]
        >>> sorted(retained([10, 20, 30], keep_last=1, keep_best=1, scores={10: 7.0, 20: 9.0}))
        [20, 30]
    """
    good = sorted(set(steps) if sound is None else set(steps) & set(sound))
    if not good:
        return set(steps)
    kept = set(good[-keep_last:])
    kept |= set(best({step: score for step, score in (scores or {}).items() if step in good}, keep_best))
    if keep_every > 0:
        first = {step // keep_every: step for step in reversed(good)}
        kept |= {step for multiple, step in first.items() if multiple > 0}
    return kept


def best(scores: Mapping[int, float], number: int) -> list[int]:
    """The steps of the highest scores, the best first. Of equal scores the earlier counts: it was there first.

    Example:
        >>> best({10: 1.0, 20: 3.0, 30: 3.0}, 2)
        [20, 30]
    """
    return sorted(scores, key=lambda step: (-scores[step], step))[:number]


def remove(directory: Path, paths: Sequence[Path], latest: Path) -> None:
    """Remove checkpoints of a `checkpoints` directory so that a crash at any moment leaves a sound run.

    `LATEST` names one that stays before anything goes; then each is renamed aside, and only when that is durable
    deleted. What a crash leaves behind is removed by the next save. Only the holder of the run's lock may.

    Args:
        directory: of the run's checkpoints.
        paths: of those that go.
        latest: of those that stay, the last.

    Raises:
        ResourceError: the place cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     for step in (1, 2):
        ...         (Path(place) / f"step-{step:012}").mkdir()
        ...     remove(Path(place), [Path(place) / "step-000000000001"], Path(place) / "step-000000000002")
        ...     sorted(path.name for path in Path(place).iterdir())
        ['LATEST', 'step-000000000002']
    """
    try:
        point_at(directory, latest)
        aside = [path.replace(path.with_name(f".{path.name}.{os.getpid()}.gone")) for path in paths]
        sync_directory(directory)
        for path in aside:
            if path.is_symlink():
                path.unlink()
            else:
                shutil.rmtree(path)
    except OSError as error:
        raise ResourceError(
            f"{error.filename or directory}: cannot be removed: {error.strerror or error}",
            remedy="make the place writable; checkpoints that were not removed are as they were",
        ) from error
