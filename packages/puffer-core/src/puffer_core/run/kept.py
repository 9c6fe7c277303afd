"""The checkpoints of a run that this process holds, and which of them stay."""

from __future__ import annotations

from pathlib import Path

from puffer_core.checkpoints.inventory import find
from puffer_core.checkpoints.reading import step_name
from puffer_core.checkpoints.retention import best, remove, retained
from puffer_core.plan import RunOptions


class KeptCheckpoints:
    """What a run has saved, with scores. Manifests are read once; from then on the run knows what it adds and removes.

    Args:
        directory: of the run's checkpoints.
        options: what stays.
        last: step of the checkpoint that the run goes on from; None where it begins. Those of later steps could not be
            used, or the run would go on from there: they count for nothing, and are left to `puffer checkpoints prune`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     kept = KeptCheckpoints(Path(place), RunOptions(keep_last=1, keep_best=1), None)
        ...     for step, score in ((10, 3.0), (20, 5.0), (30, None)):
        ...         (Path(place) / step_name(step)).mkdir()
        ...         kept.add(step, score)
        ...         kept.trim()
        ...     sorted(path.name for path in Path(place).glob("step-*")), kept.would_be_among_best(40, 5.0)
        (['step-000000000020', 'step-000000000030'], False)
    """

    def __init__(self, directory: Path, options: RunOptions, last: int | None) -> None:
        self._directory, self._options = directory, options
        found = [item for item in find(directory) if item.manifest is not None] if last is not None else []
        self._steps = {item.step for item in found if item.step <= (last or 0)}
        self._scores: dict[int, float] = {}
        for item in found:
            if item.step in self._steps and item.score is not None:
                self._scores[item.step] = item.score

    def would_be_among_best(self, step: int, score: float) -> bool:
        """Whether a checkpoint of this step and score would stay for its score."""
        return step in best({**self._scores, step: score}, self._options.keep_best)

    def add(self, step: int, score: float | None) -> None:
        """A sound checkpoint of this step was written."""
        self._steps.add(step)
        self._scores.pop(step, None)
        if score is not None:
            self._scores[step] = score

    def trim(self) -> None:
        """Remove those that are not to stay.

        Raises:
            ResourceError: the place cannot be written; what was not removed is as it was.
        """
        options = self._options
        staying = retained(
            self._steps, options.keep_last, options.keep_every, keep_best=options.keep_best, scores=self._scores
        )
        gone = sorted(self._steps - staying)
        paths = [self._directory / step_name(step) for step in gone]
        present = [path for path in paths if path.exists() or path.is_symlink()]
        if present:
            remove(self._directory, present, self._directory / step_name(max(staying)))
        self._steps = staying
        self._scores = {step: score for step, score in self._scores.items() if step in staying}
