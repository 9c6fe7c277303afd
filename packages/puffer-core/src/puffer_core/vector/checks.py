"""What every vector env checks and says in the same words: slots, actions, pictures, which environment failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.errors import EnvError, PufferError, ShapeError, UnsupportedError, UsageError
from puffer_core.quoting import error_text, value_text
from puffer_core.spaces.layout import Layout

Value = TypeVar("Value")

_DICTS = (dict, Mapping)  # made once: a union in the call costs as much as the rest of it

FAULTS = (Exception, SystemExit)
"""What an env may raise. SystemExit too: it must not be able to end the run silently."""


def check_rows(id: str, rows: int, buffers: EnvBuffers) -> None:
    """Refuse buffers of another number of rows.

    Args:
        id: of the env, for messages; so in every function here.
        rows: that it has.
        buffers: that it was given.

    Raises:
        ShapeError: they have not `rows` rows.
    """
    given = buffers.reward.shape[1]
    if given != rows:
        raise ShapeError(f"{id} has {rows} rows, the buffers have {given}")


def check_slot(id: str, slot: int, slots: int, first: int = 0) -> None:
    """Refuse a slot that is not there.

    Args:
        id: for messages.
        slot: to write.
        slots: that are bound; 0: none yet, or none any more.
        first: that may be written.

    Raises:
        UsageError: nothing is bound.
        ShapeError: `slot` is not in `first..slots-1`.

    Example:
        >>> check_slot("pole", 4, slots=4, first=1)
        Traceback (most recent call last):
        puffer_core.errors.ShapeError: pole: slot is 4, expected 1..3 as bound
    """
    if not slots:
        raise unbound(id)
    if not first <= slot < slots:
        raise ShapeError(f"{id}: slot is {slot}, expected 1..{slots - 1} as bound")


def unbound(id: str) -> UsageError:
    """The error for use of an env that has no buffers."""
    return UsageError(f"{id}: reset or step before bind, or after close")


def check_actions(id: str, action: Shaped[np.ndarray, "..."], layout: Layout, rows: int) -> None:
    """Refuse what is not one action a row, or floats for choices.

    Raises:
        ShapeError: says what came and what was expected.
    """
    loses = action.dtype.kind == "f" != layout.dtype.kind
    expected = (rows, *layout.shape)
    if loses or action.shape != expected:
        raise ShapeError(f"{id}: got actions {action.dtype} {action.shape}, expected {layout.dtype} {expected}")


def own_actions(
    id: str, action: Shaped[np.ndarray, "..."], layout: Layout, rows: int
) -> Shaped[np.ndarray, "rows *action"]:
    """A copy: an env may keep or change its action, and the caller's array is a rollout's storage.

    Raises:
        ShapeError: as `check_actions`.
    """
    check_actions(id, action, layout, rows)
    return action.astype(layout.dtype)


def sent(id: str, pending: Value | None) -> Value:
    """What a `send` left for `recv`.

    Raises:
        UsageError: nothing.
    """
    if pending is None:
        raise UsageError(f"{id}: recv without a send before it")
    return pending


def picture_of(id: str, picture: Any) -> UInt8[np.ndarray, "height width 3"]:
    """What `render` gave, if that is a picture.

    Raises:
        UnsupportedError: it is not.
    """
    if not isinstance(picture, np.ndarray) or picture.ndim != 3:
        raise UnsupportedError(f"{id} gives no picture; it was not made with render_mode='rgb_array'")
    return np.ascontiguousarray(picture, np.uint8)


def no_snapshot(spec: VectorEnvSpec) -> UnsupportedError:
    """The error for asking an env for its state that does not give it: says why it cannot."""
    why = f": {spec.no_snapshot}" if spec.no_snapshot else ""
    return UnsupportedError(f"{spec.id} cannot give its state or take it back{why}; spec.snapshot is False")


def check_snapshot(spec: VectorEnvSpec) -> None:
    """Refuse to take or give back the state of an env that has none.

    Raises:
        UnsupportedError: `spec.snapshot` is False; says why.
    """
    if not spec.snapshot:
        raise no_snapshot(spec)


def complaint_of_reset(begun: Any) -> str:
    """What is wrong with what Gymnasium's `reset` gave, in words; empty where nothing is.

    Example:
        >>> complaint_of_reset((0, {})), complaint_of_reset(None)
        ('', 'reset gave None, expected (observation, info) with a dict as info')
    """
    if isinstance(begun, tuple) and len(begun) == 2 and isinstance(begun[1], _DICTS):
        return ""
    return f"reset gave {_number_of(begun, 2)}, expected (observation, info) with a dict as info"


def complaint_of_step(outcome: Any) -> str:
    """The same of what `step` gave, as far as can be told without looking at the values."""
    if isinstance(outcome, tuple) and len(outcome) == 5:
        return ""
    return f"step gave {_number_of(outcome, 5)}, expected observation, reward, terminated, truncated, info"


def _number_of(values: Any, expected: int) -> str:
    return f"{len(values)} values" if isinstance(values, tuple) and len(values) != expected else value_text(values)


def close_all(closes: Iterable[Callable[[], Any]]) -> None:
    """Call each, the last one first, also when one of them raises; then raise what the first in order raised."""
    with ExitStack() as stack:
        for close in closes:
            stack.callback(close)


def why(error: BaseException) -> str:
    """What to say of an error: the message of one of ours, type and message of others."""
    return error.message if isinstance(error, PufferError) else error_text(error)


def env_error(id: str, who: str, phase: str, what: str, *, seed: int | None = None, alone: bool = False) -> EnvError:
    """The error that says which environment failed, when, how it was seeded and why.

    Args:
        id: of the env.
        who: failed, such as `environment 3 of 8`.
        phase: init, reset, step, render or close.
        what: went wrong.
        seed: of that environment; None where it has none yet.
        alone: add how to see it alone, where there is a seed.

    Example:
        >>> print(env_error("pole", "environment 3 of 8", "step", "it fell", seed=7))
        pole: environment 3 of 8 failed in step, seed 7: it fell
    """
    seeded = "" if seed is None else f", seed {seed}"
    remedy = f"to see it alone: make one such env and call reset(seed={seed})" if alone and seed is not None else ""
    return EnvError(f"{id}: {who} failed in {phase}{seeded}: {what}", remedy=remedy)
