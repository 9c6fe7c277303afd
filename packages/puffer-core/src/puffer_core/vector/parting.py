"""The state of a batch of environments, divided among those who step them and joined again.

A state can be divided if it says of itself what belongs to which environment: under `environments`, one state each,
by number; under `fields`, arrays with a leading axis of environments. Any other belongs to its share as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from puffer_core.contracts.checkpointable import State
from puffer_core.errors import CheckpointError

_PARTED = frozenset({"environments", "fields"})
_SEEDED = "seeded"


def seeded(seed: int, first: int) -> State:
    """What a batch was reset with, as its state says it: whoever goes on with it seeds what is lost from that."""
    return {_SEEDED: {"seed": str(seed), "first": first}}


def seed_of(state: State) -> tuple[int, int]:
    """Seed and number of the first environment that a batch was reset with; zeros where the state does not say.

    Example:
        >>> seed_of(seeded(7, first=2))
        (7, 2)
    """
    said = state.get(_SEEDED, {"seed": "0", "first": 0})
    return int(said["seed"]), int(said["first"])


def environments_of(id: str, state: State, num_envs: int) -> list[State]:
    """The state of each environment, in order.

    Raises:
        CheckpointError: there is another number of them, or the state is of a batch of another kind.
    """
    given = state.get("environments")
    if given is None:
        raise CheckpointError(f"{id}: the state is of another kind of batch: it has none for each environment")
    if len(given) != num_envs:
        raise _other_number(id, len(given), num_envs)
    return [given[str(i)] for i in range(num_envs)]


def joined_state(states: Sequence[State]) -> State | None:
    """The states of shares that follow one another as that of the whole; None where they cannot be divided.

    Example:
        >>> joined_state([{"environments": {"0": {"x": 1}}}, {"environments": {"0": {"x": 2}}}])
        {'environments': {'0': {'x': 1}, '1': {'x': 2}}}
    """
    whole: State = {}
    kinds = {frozenset(state) - {_SEEDED} for state in states}
    kind = kinds.pop()
    if kinds or not kind or not kind <= _PARTED:
        return None
    if "environments" in states[0]:
        every = [state["environments"][str(i)] for state in states for i in range(len(state["environments"]))]
        whole["environments"] = {str(i): own for i, own in enumerate(every)}
    if "fields" in states[0]:
        whole["fields"] = _joined([state["fields"] for state in states])
    return whole


def divided_state(id: str, state: State, counts: Sequence[int]) -> list[State]:
    """The state of each share of a whole.

    Args:
        id: for messages.
        state: as `joined_state` gives it.
        counts: environments of each share.

    Raises:
        CheckpointError: it is of another number of environments, or cannot be divided.

    Example:
        >>> [len(share["fields"]["x"]) for share in divided_state("pole", {"fields": {"x": np.zeros(3)}}, [1, 2])]
        [1, 2]
    """
    if not state.keys() & _PARTED:
        raise CheckpointError(f"{id}: the state cannot be divided among workers")
    shares: list[State] = [{} for _ in counts]
    edges = list(pairwise(accumulate(counts, initial=0)))
    if "environments" in state:
        every = environments_of(id, state, sum(counts))
        for share, (start, stop) in zip(shares, edges, strict=True):
            share["environments"] = {str(i): own for i, own in enumerate(every[start:stop])}
    if "fields" in state:
        _check_length(id, state["fields"], sum(counts))
        for share, (start, stop) in zip(shares, edges, strict=True):
            share["fields"] = _rows(state["fields"], start, stop)
    return [{**share, _SEEDED: state[_SEEDED]} if _SEEDED in state else share for share in shares]


def _joined(fields: Sequence[Any]) -> Any:
    if isinstance(fields[0], dict):
        return {name: _joined([each[name] for each in fields]) for name in fields[0]}
    return np.concatenate(fields)


def _rows(fields: Any, start: int, stop: int) -> Any:
    if isinstance(fields, dict):
        return {name: _rows(part, start, stop) for name, part in fields.items()}
    return fields[start:stop].copy()


def _check_length(id: str, fields: Any, num_envs: int) -> None:
    if isinstance(fields, dict):
        for part in fields.values():
            _check_length(id, part, num_envs)
    elif len(fields) != num_envs:
        raise _other_number(id, len(fields), num_envs)


def _other_number(id: str, given: int, num_envs: int) -> CheckpointError:
    return CheckpointError(
        f"{id}: the state is of {given} environments, here there are {num_envs}",
        remedy="resume with the --vector.num-envs that it was saved with",
    )
