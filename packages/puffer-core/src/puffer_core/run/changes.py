"""What of a run's configuration may change when it is resumed, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from puffer_core.config.words import show
from puffer_core.errors import UsageError

MAY_CHANGE = (
    "total_steps",
    "eval_every",
    "eval_episodes",
    "target_return",
    "checkpoint_every",
    "checkpoint_seconds",
    "keep_last",
    "keep_best",
    "keep_every",
    "stall_seconds",
    "quiet",
    "vector.mode",
    "vector.workers",
    "vector.isolate",
    "vector.timeout",
    "vector.restarts",
    "vector.poison",
)
"""Options that may, and with them the loggers and theirs: nothing of what was learned depends on them.

So may the backend and its options: what was learned goes over whole, though the next update rounds otherwise.
"""
STEPPING = frozenset({"vector.mode", "vector.workers", "vector.isolate"})
"""Of those, the ones that settle anew how envs are stepped."""
ENGINE = "backend."
_PLACE = ("run", "resume")
"""Say where the run is, and that it was to be resumed: each process that works on it may say so in its own way."""


@dataclass(frozen=True)
class Change:
    """An option's value as it was and as it is now; None where there was, or is, none."""

    old: Any
    new: Any

    def __str__(self) -> str:
        """Both, in words."""
        return f"{show(self.old)} in the run, {show(self.new)} now"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """What differs between two configurations of a run, by dotted name, if all of it may.

    Args:
        old: the tree of `config.json`.
        new: the tree that is wanted instead.

    Raises:
        UsageError: something differs that may not; the message shows each with both values.

    Example:
        >>> changes({"seed": 1, "total_steps": 8}, {"seed": 1, "total_steps": 16})
        {'total_steps': Change(old=8, new=16)}
        >>> changes({"seed": 1}, {"seed": 2})
        Traceback (most recent call last):
        puffer_core.errors.UsageError: seed: 1 in the run, 2 now; a resumed run cannot change this
        leave it as it is, or start a new run; `puffer resume --help` lists what may change
    """
    before, after = dict(_leaves(old)), dict(_leaves(new))
    found = {
        name: Change(before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if name not in _PLACE and before.get(name) != after.get(name)
    }
    if refused := [name for name in found if not may_change(name)]:
        raise UsageError(
            "\n".join(f"{name}: {found[name]}; a resumed run cannot change this" for name in refused),
            remedy="leave it as it is, or start a new run; `puffer resume --help` lists what may change",
        )
    return found


def may_change(name: str) -> bool:
    """Whether a resumed run may have another value of this option.

    Example:
        >>> may_change("total_steps"), may_change("backend.name"), may_change("learning_rate")
        (True, True, False)
    """
    return name in MAY_CHANGE or name.startswith(("logger.", ENGINE))


def inexact(found: Mapping[str, Change]) -> list[str]:
    """Why a run with these changes does not go on bit for bit as it would have; none where it does.

    Example:
        >>> inexact({"total_steps": Change(8, 16), "backend.name": Change("torch", "jax")})
        ["backend.name: 'torch' in the run, 'jax' now: numbers are rounded otherwise"]
    """
    engine = "backend.name"
    names = [engine] if engine in found else [name for name in found if name.startswith(ENGINE)]
    return [f"{name}: {found[name]}: numbers are rounded otherwise" for name in names]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted name; of a logger without options, the empty table that says it is there."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and (value or not prefix):
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value
        if prefix == "logger." and value:
            yield key, {}
