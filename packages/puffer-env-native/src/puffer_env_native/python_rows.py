"""PythonRows: the `rows` of the loops where nothing is compiled. It says what each method of `rows` means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from puffer_core.errors import EnvError
from puffer_core.spaces.layout import Leaf
from puffer_env_native.env import NativeEnv
from puffer_env_native.fields import elements
from puffer_env_native.table import Table


class PythonRows:
    """Rows of a batch as arrays by column name; see `Table`."""

    def __init__(self, table: Table, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._table, self._arrays = table, arrays

    def start(self) -> int:
        return int(self._arrays["@start"][0])

    def stop(self) -> int:
        return int(self._arrays["@stop"][0])

    def count(self) -> int:
        """Rows of the whole batch, of which this call works on `start..stop-1`."""
        return int(self._arrays["@count"][0])

    def limit(self) -> int:
        """Steps after which an episode is truncated."""
        return int(self._arrays["@limit"][0])

    def visit(self, row: int) -> None:
        """Note which row is at work, for the error message if it raises."""
        self._arrays["@visited"][0] = row

    def load(self, row: int) -> NativeEnv:
        """The env of a row: a copy of its numbers, until they are stored; its arrays are the batch's own."""
        env: NativeEnv = object.__new__(self._table.env_class)
        for field in env.FIELDS:
            value = self._arrays[field.name][0 if field.is_option else row]
            env.__dict__[field.name] = elements(value) if field.shape else value.item()
        return env

    def store(self, row: int, env: NativeEnv) -> None:
        for field in env.FIELDS:
            if not field.is_option and not field.shape:
                self._arrays[field.name][row] = getattr(env, field.name)

    def valid_action(self, row: int) -> bool:
        """Whether the row's action is one of the space's choices; of a Box, that none of it is NaN."""
        return not invalid_actions(self._table.action_leaf, self._arrays["@action"][row : row + 1])[0]

    def action(self, row: int) -> Any:
        """An int for a Discrete space, otherwise a tuple of the elements."""
        action = self._arrays["@action"][row]
        return action.item() if self._table.action_leaf.kind == "discrete" else tuple(action.ravel().tolist())

    def outcome(self, row: int, reward: float, terminated: bool, truncated: bool) -> None:
        for name, value in (("@reward", reward), ("@terminated", terminated), ("@truncated", truncated)):
            self._arrays[name][row] = value

    def observe(self, row: int, env: NativeEnv) -> None:
        """Write what the env shows: its observation, and which actions are valid where it says so."""
        if self._table.observes_in_place:
            env.observe(elements(self._arrays["@observation"][row]))
        else:
            self._write(self._arrays["@observation"][row : row + 1].reshape(-1), env.observe())
        if self._table.masked:
            env.action_mask(elements(self._arrays["@action_mask"][row]))  # type: ignore[attr-defined]

    def _write(self, observation: np.ndarray[Any, Any], seen: Any) -> None:
        """A number, or a tuple in the order of the space's elements."""
        seen = seen if isinstance(seen, tuple) else (seen,)
        if len(seen) != observation.size:
            raise observation_mismatch(self._table, len(seen))
        observation[:] = seen

    def ended(self, row: int) -> bool:
        return bool(self._arrays["@terminated"][row] or self._arrays["@truncated"][row])

    def keep_final_observation(self, row: int) -> None:
        self._arrays["@final_observation"][row] = self._arrays["@observation"][row]


def observation_mismatch(table: Table, given: int) -> EnvError:
    """The error for an `observe` that gives another number of elements than its space has."""
    name, size = table.env_class.__name__, table.observation.size
    return EnvError(f"{name}.observe gives {given} numbers, its observation space has {size}")


def invalid_actions(leaf: Leaf, actions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which of the actions `[rows, *action]` no step can take, `[rows]`."""
    elements = actions.reshape(len(actions), -1)
    if leaf.kind == "box":
        return np.isnan(elements).any(axis=1)  # type: ignore[no-any-return]
    low = np.asarray(leaf.start)
    return ((elements < low) | (elements >= low + np.asarray(leaf.sizes))).any(axis=1)  # type: ignore[no-any-return]
