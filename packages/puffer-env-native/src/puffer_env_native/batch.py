"""NativeVectorEnv: the vector env of a `NativeEnv` class, one call of machine code a step."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnvSpec
from puffer_core.errors import CheckpointError, EnvError, PufferError, ShapeError, UnsupportedError, UsageError
from puffer_core.vector.parting import seed_of, seeded
from puffer_env_native.env import NativeEnv, random_states
from puffer_env_native.loop import reset_rows, step_rows
from puffer_env_native.python_rows import PythonRows, invalid_actions
from puffer_env_native.table import NO_LIMIT, Table

ROWS_A_THREAD = 16384
"""Below this many rows for each thread, waking it costs more than it saves."""

_Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]
_Call: TypeAlias = Callable[[], int]

_OBSERVATIONS = ("observation", "final_observation")
_OUTCOMES = ("reward", "terminated", "truncated")


@dataclass(frozen=True)
class _Share:
    """The rows that one thread steps: their span, and how far it got, where the loops read and write it."""

    start: np.ndarray[Any, Any]
    stop: np.ndarray[Any, Any]
    visited: np.ndarray[Any, Any]

    @classmethod
    def of(cls, start: int, stop: int) -> _Share:
        return cls(*(np.array([n], np.int64) for n in (start, stop, start)))


class NativeVectorEnv:
    """A batch of one `NativeEnv` class; built by `NativeEnv.batch`.

    Its state is one array a field, `[num_envs, *shape]`; a snapshot is a copy of them. Rows never influence one
    another, and each is computed with the same instructions wherever it stands, so that results are bitwise the same
    for any number of threads.
    """

    def __init__(
        self,
        env_class: type[NativeEnv],
        num_envs: int,
        *,
        threads: int,
        compiled: bool,
        options: dict[str, Any],
    ) -> None:
        limit = int(options["max_episode_steps"])
        for name, value, least in (("num_envs", num_envs, 1), ("max_episode_steps", limit, 0), ("threads", threads, 0)):
            if value < least:
                raise UsageError(f"{env_class.__name__}: {name} is {value}, expected an integer >= {least}")
        self._class, self._table = env_class, Table(env_class)
        self.spec = VectorEnvSpec.single_agent(
            id=f"{env_class.__module__}:{env_class.__qualname__}",
            num_envs=num_envs,
            observation=self._table.observation,
            action=self._table.action,
            action_mask=self._table.masked,
            snapshot=True,
            max_episode_steps=limit or None,
        )
        self._fields = {f.name: np.zeros((num_envs, *f.shape), f.dtype) for f in env_class.FIELDS if not f.is_option}
        self._shared = {f.name: np.array([options[f.name]], f.dtype) for f in env_class.FIELDS if f.name in options}
        self._shared["@limit"] = np.array([limit or NO_LIMIT], np.int64)
        self._shared["@count"] = np.array([num_envs], np.int64)
        self._action = np.zeros((num_envs, *self.spec.action.shape), self.spec.action.dtype)
        self._shape = self._action.shape
        self._compiled = compiled and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
        threads = threads or max(1, min(os.cpu_count() or 1, num_envs // ROWS_A_THREAD))
        threads = min(threads, num_envs) if self._compiled else 1  # Python code would only take turns
        edges = np.linspace(0, num_envs, threads + 1).astype(int)
        self._shares = [_Share.of(start, stop) for start, stop in pairwise(edges.tolist())]
        self._pool = ThreadPoolExecutor(len(self._shares) - 1) if len(self._shares) > 1 else None
        self._steps: dict[int, _Call] = {}
        self._seeded = seeded(0, 0)

    def bind(self, buffers: EnvBuffers) -> None:
        """Take the slots to write into, and compile where that has not been done.

        Raises:
            ShapeError: buffers whose shape or dtype does not fit `spec`, or whose rows are not contiguous.
            EnvError: the env does not compile; the message is Numba's.
        """
        names = (*_OBSERVATIONS, *_OUTCOMES, *(("action_mask",) if self._table.masked else ()))
        arrays = {name: getattr(buffers, name) for name in names}
        self._check(arrays, buffers.slots)
        buffers.active[...] = True
        slots = [self._columns(arrays, slot) for slot in range(buffers.slots)]
        calls = self._machine_code(slots) if self._compiled else self._source(slots)
        self._reset = self._joined(calls[0][0])
        self._steps = {slot: self._joined(steps) for slot, (_, steps) in enumerate(calls) if slot > 0}
        self._buffers = buffers

    def _columns(self, arrays: _Arrays, slot: int) -> list[_Arrays]:
        """Each column of the table in one slot, for each share."""
        outputs = {f"@{name}": array[slot] for name, array in arrays.items()}
        common = {**self._fields, **self._shared, **outputs, "@action": self._action}
        return [
            {**common, "@start": share.start, "@stop": share.stop, "@visited": share.visited} for share in self._shares
        ]

    def _source(self, slots: list[list[_Arrays]]) -> list[tuple[list[_Call], list[_Call]]]:
        """Reset and step of each share in each slot, as plain Python."""
        rows = [[PythonRows(self._table, columns) for columns in shares] for shares in slots]
        return [([partial(reset_rows, r) for r in shares], [partial(step_rows, r) for r in shares]) for shares in rows]

    def _machine_code(self, slots: list[list[_Arrays]]) -> list[tuple[list[_Call], list[_Call]]]:
        """Reset and step of each share in each slot, compiled; each call is bound to the addresses it works on."""
        from puffer_env_native.cache import compiled

        reset, step = compiled(self._class)
        names = [column.name for column in self._table.columns]
        self._addresses = np.array(
            [[[columns[name].ctypes.data for name in names] for columns in shares] for shares in slots], np.uintp
        )
        tables = [[int(table.ctypes.data) for table in shares] for shares in self._addresses]
        return [([partial(reset, at) for at in shares], [partial(step, at) for at in shares]) for shares in tables]

    def _joined(self, calls: list[_Call]) -> _Call:
        """All shares as one call that gives 0, or one more than the index of the first share that failed."""
        if self._pool is None:
            return calls[0]
        submit = self._pool.submit

        def together() -> int:
            others = [submit(call) for call in calls[1:]]
            codes = [calls[0](), *(other.result() for other in others)]
            return next((i for i, code in enumerate(codes, start=1) if code), 0)

        return together

    def _check(self, arrays: _Arrays, slots: int) -> None:
        layout, flag, real = self.spec.observation, np.dtype(np.bool_), np.dtype(np.float32)
        expected = dict.fromkeys(_OBSERVATIONS, (layout.shape, layout.dtype))
        expected |= {"reward": ((), real), "terminated": ((), flag), "truncated": ((), flag)}
        expected["action_mask"] = ((self.spec.action.mask_size,), flag)
        for name, array in arrays.items():
            shape, dtype = expected[name]
            full = (slots, self.spec.rows, *shape)
            if array.shape != full or array.dtype != dtype:
                raise ShapeError(f"buffer {name} is {array.dtype}{array.shape}, expected {dtype}{full}")
            if not (array[0].flags.c_contiguous and array.flags.aligned and array.flags.writeable):
                raise ShapeError(f"buffer {name} has rows that are not contiguous, aligned and writeable")

    def reset(self, seed: int, first: int = 0) -> None:
        """Start every env anew and write slot 0; env `i` is seeded from `(seed, first + i)` alone.

        Raises:
            EnvError: the env raised.
            UsageError: a negative seed.
        """
        self._seeded = seeded(seed, first)
        self._fields["random_state"][:] = random_states(seed, self.spec.num_envs, first)
        try:
            failed = self._reset()
        except Exception as error:
            raise self._explained("reset", 1, error) from error
        if failed:
            raise self._explained("reset", failed)
        for name in _OUTCOMES:
            getattr(self._buffers, name)[0] = 0

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """Act on the observations of `slot - 1` and write `slot`.

        Raises:
            ShapeError: the actions are not `[rows, *action]`, or no such slot is bound.
            UsageError: an action that is not in its space (of a Box, a NaN; its bounds are the env's to clip).
                Nothing has stepped.
            EnvError: the env raised.
        """
        step = self._steps.get(slot)
        if step is None or action.shape != self._shape:
            raise self._misused(action, slot)
        self._action[...] = action
        try:
            failed = step()
        except Exception as error:
            raise self._explained("step", 1, error) from error
        if failed:
            raise self._explained("step", failed)
        return ()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Step now: nothing is gained by waiting."""
        self.step(action, slot)

    def recv(self) -> Infos:
        """Nothing to wait for."""
        return ()

    def _misused(self, action: np.ndarray[Any, Any], slot: int) -> ShapeError:
        if slot not in self._steps:
            return ShapeError(f"{self._class.__name__}: slot is {slot}, expected 1..{len(self._steps)}, as bound")
        return ShapeError(f"{self._class.__name__}: actions are {action.shape}, expected {self._action.shape}")

    def _explained(self, phase: str, share: int, cause: Exception | None = None) -> PufferError:
        """The error for a call that failed; compiled code has only a status to tell."""
        if isinstance(cause, PufferError):
            return cause
        name = self._class.__name__
        if phase == "step":
            invalid = invalid_actions(self._table.action_leaf, self._action)
            if invalid.any():
                row, space = int(invalid.argmax()), self.spec.action.space
                return UsageError(f"{name}: the action of env {row} is {self._action[row]}, expected one of {space}")
        row = int(self._shares[share - 1].visited[0])
        what = f"{type(cause).__name__}: {cause}" if cause else "compiled code does not say what"
        return EnvError(
            f"{name}: env {row} raised in {phase}: {what}",
            remedy="" if cause else "with compiled=False the exception is seen",
        )

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """A picture of env 0 as it is now, RGB.

        Raises:
            UnsupportedError: the env has no method `render`, or that needs a package that is not installed.
        """
        env = PythonRows(self._table, {**self._fields, **self._shared}).load(0)
        if not hasattr(env, "render"):
            raise UnsupportedError(
                f"{self._class.__name__} cannot be shown",
                remedy="give it a method `render(self)` that returns a uint8 array [height, width, 3]",
            )
        return np.asarray(env.render())

    def snapshot(self) -> State:
        """Every field of every env, random streams included, `{"fields": {name: [num_envs, *shape]}}`."""
        return {"fields": {name: array.copy() for name, array in self._fields.items()}, **self._seeded}

    def restore(self, state: State) -> None:
        """Go back to a `snapshot`.

        Raises:
            CheckpointError: fields are missing, superfluous, or of another shape or dtype; nothing was changed.
        """
        given = {name: np.asarray(array) for name, array in state.get("fields", {}).items()}
        for name in given.keys() | self._fields.keys():
            is_, due = (f"{a[name].dtype}{a[name].shape}" if name in a else "none" for a in (given, self._fields))
            if is_ != due:
                raise CheckpointError(f"{self._class.__name__}: field {name} of the snapshot is {is_}, expected {due}")
        for name, array in self._fields.items():
            array[:] = given[name]
        self._seeded = seeded(*seed_of(state))

    def close(self) -> None:
        """End the threads. Safe to call twice."""
        if self._pool:
            self._pool.shutdown()
