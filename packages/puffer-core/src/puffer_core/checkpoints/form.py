"""Whether a state has the form that a component expects: checked whole before anything of it is taken."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from puffer_core.contracts.checkpointable import State
from puffer_core.errors import CheckpointError


def check_form(got: State, expected: State, *, free: Collection[str] = ()) -> None:
    """Check that `got` has the keys of `expected`, and arrays of the same shapes and dtypes.

    Call it with `self.state_dict()` at the head of `load_state_dict`: a state that does not fit then changes nothing.

    Args:
        got: the state to take back.
        expected: one of the right form, with NumPy arrays.
        free: paths, keys joined by `/`, below which anything goes.

    Raises:
        CheckpointError: it has another form; the message names the first path that differs.

    Example:
        >>> check_form({"count": 3}, {"count": 0, "mean": 0.0})
        Traceback (most recent call last):
        puffer_core.errors.CheckpointError: mean: the checkpoint has none, this run has float
        resume with the options that the run was started with
    """
    _check(got, expected, "", free)


def _check(got: Any, expected: Any, path: str, free: Collection[str]) -> None:
    if path in free:
        return
    if not (isinstance(got, dict) and isinstance(expected, dict)):
        _check_leaf(_form(got), _form(expected), path)
        return
    for key in sorted(got.keys() | expected.keys()):
        below = f"{path}/{key}" if path else key
        if key in got and key in expected:
            _check(got[key], expected[key], below, free)
        else:
            there, here = (_form(side[key]) if key in side else "none" for side in (got, expected))
            _check_leaf(there, here, below)


def _check_leaf(got: str, expected: str, path: str) -> None:
    if got != expected:
        raise CheckpointError(
            f"{path}: the checkpoint has {got}, this run has {expected}",
            remedy="resume with the options that the run was started with",
        )


def _form(value: Any) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if hasattr(value, "shape") else type(value).__name__
