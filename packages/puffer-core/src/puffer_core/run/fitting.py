"""Whether what a run is made of now is what its checkpoint was made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from puffer_core.checkpoints.manifest import PolicyEntry
from puffer_core.errors import CheckpointError
from puffer_core.spaces.layout import Layout

_SPACES = ("observation", "action", "global_state")
_REST = ("target", "config", "inputs", "outputs", "carry")


def check_fits(path: Path, was: PolicyEntry, now: PolicyEntry) -> None:
    """Check that a checkpoint's policy and spaces are those of the run as it is made now.

    Args:
        path: of the checkpoint.
        was: what its manifest says.
        now: what the run's env and policy give.

    Raises:
        CheckpointError: something differs; names each thing with both values.
    """
    if found := [*_spaces(was, now), *_others(was, now)]:
        raise CheckpointError(
            f"{path}: the run is made otherwise now: {'; '.join(found)} (the checkpoint's against the run's)",
            remedy="the env or the policy has changed: install the versions that `puffer checkpoints inspect` names, "
            "or train a new run",
        )


def _spaces(was: PolicyEntry, now: PolicyEntry) -> Iterator[str]:
    for name in _SPACES:
        old, new = getattr(was, name), getattr(now, name)
        if old is None or new is None:
            if old != new:
                yield f"{name}: {_presence(old)} against {_presence(new)}"
        elif words := Layout.from_json(old).difference(Layout.from_json(new)):
            yield f"{name}: {words}"


def _presence(space: dict[str, Any] | None) -> str:
    return "none" if space is None else "one"


def _others(was: PolicyEntry, now: PolicyEntry) -> Iterator[str]:
    for name in _REST:
        old, new = getattr(was, name), getattr(now, name)
        if old != new:
            yield f"{name} of the policy: {old} against {new}"
