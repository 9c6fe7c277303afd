"""The checkpoint that a run goes on from: the last that is sound."""

from __future__ import annotations

from pathlib import Path

from puffer_core.checkpoints.inventory import find
from puffer_core.checkpoints.reading import CHECKPOINTS, Checkpoint, VersionError, load
from puffer_core.errors import CheckpointError


def latest_sound(run: Path) -> tuple[Checkpoint | None, list[str]]:
    """The last sound checkpoint of a run, every state of it read, and a warning for each damaged one after it.

    Args:
        run: its directory, which this process holds.

    Returns:
        The checkpoint, None where there are none at all; and the warnings.

    Raises:
        CheckpointError: there are checkpoints, and none is sound; or the last was written by another version of the
            program or cannot be opened, so that it may well be sound, and an older one would lose what it has.

    Example:
        >>> latest_sound(Path("runs/none"))
        (None, [])
    """
    refused: list[CheckpointError] = []
    for path in (found.path for found in reversed(find(run / CHECKPOINTS))):
        try:
            loaded = load(path)
        except CheckpointError as error:
            refused.append(error)
            continue
        if refused and _may_be_sound(refused[0]):
            raise _older_is_sound(refused[0], path)
        return loaded, [
            f"{error.message}; the run goes on from {path.name}, the last one before it that is sound"
            for error in refused
        ]
    if refused:
        raise refused[0] if _may_be_sound(refused[0]) else _none_sound(run, refused)
    return None, []


def _may_be_sound(error: CheckpointError) -> bool:
    return isinstance(error, VersionError) or isinstance(error.__cause__, PermissionError)


def _older_is_sound(error: CheckpointError, older: Path) -> CheckpointError:
    return CheckpointError(
        error.message,
        remedy=f"{error.remedy}; or move it away to go on from {older.name}, which is older and sound",
    )


def _none_sound(run: Path, refused: list[CheckpointError]) -> CheckpointError:
    listed = "\n".join(f"  {error.message}" for error in refused)
    return CheckpointError(
        f"{run}: none of its checkpoints is sound, and a run that was saved never starts anew\n{listed}",
        remedy=f"bring one back from a copy, which `puffer checkpoints verify {run}` checks, or train a new run",
    )
