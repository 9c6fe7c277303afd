"""One step of a policy as its file has it: what goes in by which name, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from puffer_core.arrays import Array, Params, Tree, map_tree, named_leaves
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Policy
from puffer_core.distributions import action_distribution, to_env
from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout, Leaf

Draw = Callable[[np.random.Generator, int], np.ndarray[Any, Any]]
_FAR = 1000.0


def step(
    ops: Ops, params: Params, given: Mapping[str, Tree], *, policy: Policy, apply: Callable[..., Any]
) -> dict[str, Tree]:
    """From inputs `[rows, ...]`, `carry` and `reset` among them, to `action`, the policy's outputs and `next_carry`.

    Args:
        ops: the engine.
        params: of the policy.
        given: see `draws`.
        policy: whose step it is.
        apply: the policy's own, or what stands for it.
    """
    inputs = {name: map_tree(lambda x: x[None], x) for name, x in given.items() if name not in ("carry", "reset")}
    some = next(x for _, x in named_leaves(inputs))
    reset = given["reset"][None] if "reset" in given else ops.zeros(tuple(some.shape[:2]), dtype=ops.bool)
    outputs, carry = apply(ops, params, inputs, given.get("carry", ()), reset, None)
    action = likeliest(ops, policy.interface.action, outputs, inputs.get("action_mask"))
    found: dict[str, Tree] = map_tree(lambda x: x[0], {**outputs, "action": action})
    return found | {"next_carry": carry}


def likeliest(ops: Ops, layout: Layout, outputs: Mapping[str, Array], mask: Array | None) -> Tree:
    """The mode of the distribution that outputs describe, as the env takes it."""
    return to_env(ops, layout, action_distribution(ops, layout, dict(outputs), mask).mode())


def flat(tree: Tree) -> dict[str, Any]:
    """Every array by its name in the file: `observation`, `observation.pos.x`, `carry.0`."""
    return {path.replace("/", "."): x for path, x in named_leaves(tree)}


def draws(policy: Policy, *, action_mask: bool) -> dict[str, Tree]:
    """Everything that a step is given, each as a function that draws rows of it for a comparison.

    Args:
        policy: whose step it is.
        action_mask: the env gives masks.

    Raises:
        UnsupportedError: the policy reads what only learning has.
    """
    interface = policy.interface
    known: dict[str, Tree] = {
        "observation": _each(interface.observation, _entries),
        "previous_action": _each(interface.action, _previous),
        "previous_reward": partial(_normal, (), np.float32),
        "action_mask": partial(_flags, (interface.action.mask_size,)),
    }
    if interface.global_state is not None:
        known["global_state"] = _each(interface.global_state, _entries)
    wanted = policy.inputs | ({"action_mask"} if action_mask else set())
    if unknown := sorted(wanted - known.keys()):
        raise UnsupportedError(f"it reads {', '.join(unknown)}, which nobody has who only acts")
    found = {name: known[name] for name in sorted(wanted)}
    carry = policy.initial_carry(1)
    if any(named_leaves(carry)):
        found["carry"] = map_tree(lambda x: partial(_normal, x.shape[1:], x.dtype), carry)
        found["reset"] = partial(_flags, ())
    return found


def _each(layout: Layout, make: Callable[[Leaf], Draw]) -> Tree:
    parts = {leaf.name: make(leaf) for leaf in layout.leaves}
    return parts if layout.is_nested else parts[""]


def _entries(leaf: Leaf) -> Draw:
    """Entries of rows as they lie there: choices counted from 0; boxes within their bounds and not too far from 0."""
    if leaf.kind != "box":
        sizes = np.reshape(leaf.sizes, leaf.shape)
        return lambda rng, rows: rng.integers(0, sizes, (rows, *leaf.shape)).astype(leaf.dtype)
    if leaf.dtype.kind == "f":
        return lambda rng, rows: np.clip(_normal(leaf.shape, leaf.dtype, rng, rows), leaf.low, leaf.high)
    low, high = (np.clip(bound.astype(np.float64), -_FAR, _FAR) for bound in (leaf.low, leaf.high))  # type: ignore[union-attr]
    return lambda rng, rows: np.floor(rng.uniform(low, high + 0.999, (rows, *leaf.shape))).astype(leaf.dtype)


def _previous(leaf: Leaf) -> Draw:
    if leaf.kind == "box":
        return partial(_normal, leaf.shape, np.float32)
    draw = _entries(leaf)
    return lambda rng, rows: draw(rng, rows).astype(np.int64)


def _normal(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator, rows: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal((rows, *shape)).astype(dtype)


def _flags(shape: tuple[int, ...], rng: np.random.Generator, rows: int) -> np.ndarray[Any, Any]:
    return rng.random((rows, *shape)) < 0.5


def difference(got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """The greatest difference of two arrays: absolute below 1, relative above; infinite where it is none.

    Example:
        >>> difference(np.array([1.0, 200.0]), np.array([1.5, 100.0]))
        1.0
    """
    if got.shape != expected.shape:
        return math.inf
    a, b = got.astype(np.float64), expected.astype(np.float64)
    off = np.abs(a - b) / np.maximum(1.0, np.abs(b))
    return float(np.nan_to_num(off, nan=math.inf).max(initial=0.0))
