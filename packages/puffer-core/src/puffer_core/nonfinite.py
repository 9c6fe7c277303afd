"""Updates as transactions: one that gave a NaN or an infinity is undone and counted; three in a row end the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from puffer_core.arrays import Array, Params, Tree, named_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.trainer import Metrics, Rollout
from puffer_core.durable import json_bytes
from puffer_core.errors import PufferError

FINITE = "update/finite"
"""Among the metrics that a guarded function returns: whether the update may stand. The guard takes it out."""
SKIPPED = "update/skipped"
"""How many updates of the run were undone; a metric of every guarded trainer from its first line."""
LOSS, GRADIENT = "loss/total", "loss/grad_norm"
"""Where a trainer keeps the loss that it minimised and the norm of its gradients, which tell what went bad first."""
IN_A_ROW = 3
"""So many skipped updates end the run: what is wrong then does not pass."""
DUMPS = "dumps"

_Found: TypeAlias = tuple[float, str]
"""When in the rollout, in steps, and in words."""


def all_finite(ops: Ops, *trees: Tree) -> Array:
    """Whether every number of the trees is finite, as one boolean array without axes.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> bool(all_finite(numpy_ops, {"w": np.ones(2)}, np.zeros(())))
        True
        >>> bool(all_finite(numpy_ops, {"w": np.array([1.0, np.inf])}))
        False
    """
    flat = [ops.reshape(leaf, (-1,)) for tree in trees for _, leaf in named_leaves(tree)]
    return ops.all(ops.isfinite(ops.concat(flat, axis=0)))  # one op over all of them: an eager engine pays by the op


class UpdateGuard:
    """Runs a trainer's compiled update so that it happens wholly, or not at all.

    Args:
        backend: the trainer's, which copies what an update consumes.

    Example:
        >>> from puffer_core.numpy_backend import NumpyBackend
        >>> def update(params, reward):
        ...     new = {"w": params["w"] + reward}
        ...     return new, {"loss/policy": reward, FINITE: np.isfinite(reward)}
        >>> guard, state = UpdateGuard(NumpyBackend()), ({"w": np.ones(1)},)
        >>> state, metrics = guard.attempt(update, state, np.asarray(np.nan))
        >>> state, metrics
        (({'w': array([1.])},), {'loss/policy': nan, 'update/skipped': 1.0})
    """

    STATE_VERSION = 1

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._skipped = self._in_a_row = 0
        self._bad: tuple[Metrics, list[str]] = ({}, [])

    def attempt(
        self, update: Callable[..., Any], state: tuple[Tree, ...], *arguments: Any
    ) -> tuple[tuple[Tree, ...], Metrics]:
        """`update(*state, *arguments)`, or `state` as it was.

        Args:
            update: compiled; returns the new state, one by one, and then metrics with `FINITE` among them.
            state: what the update replaces; consumed. Parameters come first.
            arguments: the rest of what it is given.

        Returns:
            The state to go on with, and the metrics: NaN where the update was undone, with `SKIPPED` among them.
        """
        kept = self._backend.copy(state)
        with np.errstate(all="ignore"):  # what is wrong is found in the results
            *new, device_metrics = update(*state, *arguments)
        metrics = {name: float(value) for name, value in self._backend.to_numpy(device_metrics).items()}
        if metrics.pop(FINITE):
            self._in_a_row = 0
            return tuple(new), metrics | {SKIPPED: float(self._skipped)}
        self._skipped += 1
        self._in_a_row += 1
        self._bad = metrics, nonfinite_names(self._backend.to_numpy(new[0]))
        return kept, dict.fromkeys(metrics, math.nan) | {SKIPPED: float(self._skipped)}

    def check(self, rollout: Rollout, params: Params) -> None:
        """End the run if the last three updates were undone. Call it once the trainer holds its state again.

        Args:
            rollout: what the last update learned from.
            params: that it began with.

        Raises:
            NotFiniteError: it names what was not finite first.
        """
        if self._in_a_row < IN_A_ROW:
            return
        to_numpy = self._backend.to_numpy
        raise NotFiniteError(self._in_a_row, to_numpy(dict(rollout)), to_numpy(params), *self._bad)

    def state_dict(self) -> State:
        """How many updates were undone, and how many of them just now."""
        return {"skipped": self._skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave."""
        self._skipped, self._in_a_row = int(state["skipped"]), int(state["in_a_row"])


class NotFiniteError(PufferError):
    """Update after update had to be undone.

    Args:
        count: how many, one after another.
        rollout: what the last of them learned from, as NumPy arrays.
        params: that it began with, likewise.
        metrics: of that update.
        names: of the parameters that it left not finite.
    """

    def __init__(
        self, count: int, rollout: Mapping[str, Tree], params: Params, metrics: Metrics, names: list[str]
    ) -> None:
        self.first = first_nonfinite(rollout, params, metrics, names)
        super().__init__(
            f"{count} updates in a row were undone because of numbers that are not finite. In the last, the first was "
            f"{self.first}",
            remedy="Look into the env if it gave that; otherwise lower --learning-rate, or scale huge rewards and "
            "observations down.",
        )
        self._arrays = {"rollout": rollout, "parameters": params}
        self._metrics, self._names = metrics, names

    def dump(self, directory: Path) -> None:
        """Write `rollout.safetensors`, `parameters.safetensors` and `note.json` into a new directory, and say so."""
        from safetensors.numpy import save_file

        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, tree in self._arrays.items():
                save_file(
                    {path: np.array(leaf) for path, leaf in named_leaves(tree)}, directory / f"{name}.safetensors"
                )
            (directory / "note.json").write_bytes(json_bytes(self._note()))
        except OSError as error:
            self.remedy += f" What was collected could not be kept in {directory}: {error.strerror or error}."
        else:
            self.remedy += f" What was collected is in {directory}."

    def _note(self) -> dict[str, Any]:
        counted = {
            f"{name}/{path}": _count(leaf) for name, tree in self._arrays.items() for path, leaf in named_leaves(tree)
        }
        return {
            "first": self.first,
            "not_finite": {path: count for path, count in counted.items() if count},
            "parameters_after": self._names,
            "metrics": {name: value if math.isfinite(value) else repr(value) for name, value in self._metrics.items()},
        }


@contextmanager
def dumping(directory: Path) -> Iterator[None]:
    """A `NotFiniteError` that comes out of this leaves what it knows in a directory."""
    try:
        yield
    except NotFiniteError as error:
        error.dump(directory)
        raise


def nonfinite_names(arrays: Mapping[str, Array]) -> list[str]:
    """The names of arrays that hold a NaN or an infinity, sorted.

    Example:
        >>> nonfinite_names({"b": np.array([np.nan]), "a": np.array([1])})
        ['b']
    """
    return [name for name, value in sorted(arrays.items()) if _count(value)]


def first_nonfinite(rollout: Mapping[str, Tree], params: Params, metrics: Metrics, names: list[str]) -> str:
    """What was not finite first, in words: parameters that acted, then by time in the rollout, then in learning.

    Args:
        rollout: as NumPy arrays.
        params: that acted.
        metrics: of learning.
        names: of the parameters that were not finite after it.

    Example:
        >>> reward = np.array([[0.0, np.nan], [np.inf, 0.0]], np.float32)
        >>> first_nonfinite({"reward": reward}, {}, {}, [])
        'the reward of step 0, row 1 (nan); 2 of 4 are not finite'
    """
    if acted := nonfinite_names(params):
        return f"a parameter that acted: {', '.join(acted[:3])}"
    if found := sorted(_in_rollout(rollout)):
        return found[0][1]
    if not math.isfinite(metrics.get(LOSS, 0.0)):
        return f"the loss ({LOSS} {metrics[LOSS]}): everything collected is finite"
    if not math.isfinite(metrics.get(GRADIENT, 0.0)):
        return f"the gradient ({GRADIENT} {metrics[GRADIENT]}): everything collected is finite, and so is the loss"
    if names:
        return (
            f"a parameter after learning ({', '.join(names[:3])}): everything collected, loss and gradient are finite"
        )
    bad = [name for name, value in sorted(metrics.items()) if not math.isfinite(value)]
    return f"a metric after learning ({', '.join(bad[:3])}): everything else is finite"


def _in_rollout(rollout: Mapping[str, Tree]) -> Iterator[_Found]:
    """What of the rollout is not finite, and when: within a step come observation, policy, reward."""
    for name, tree in rollout.get("inputs", {}).items():
        yield from _first(f"the {name.replace('_', ' ')}", tree, 0.0)
    for name in ("outputs", "action", "log_prob"):
        yield from _first(f"the policy's {name.replace('_', ' ')}", rollout.get(name, {}), 0.25)
    yield from _first("the reward", rollout.get("reward", {}), 0.5)
    yield from _first("what the policy makes of the final observation", rollout.get("final_outputs", {}), 0.75)


def _first(what: str, tree: Tree, offset: float) -> Iterator[_Found]:
    for _, leaf in named_leaves(tree):
        bad = np.argwhere(~np.isfinite(leaf))
        if len(bad):
            at = tuple(bad[0])
            text = f"{what} of step {at[0]}, row {at[1]} ({leaf[at]}); {len(bad):,} of {leaf.size:,} are not finite"
            yield at[0] + offset, text


def _count(array: Array) -> int:
    return int(np.size(array) - np.isfinite(array).sum())
