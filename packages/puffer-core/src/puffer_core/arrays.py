"""The array types that contracts speak of, and walks over nested containers of arrays.

An `Array` is whatever the engine at hand computes with: `numpy.ndarray`, `torch.Tensor`, `jax.Array`, or a
graph node of an exporter. A `Tree` is an array, or a dict (string keys) or tuple of trees. Dict keys are
visited in sorted order on every engine, so that sums over parameters add in one order everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    Array: TypeAlias = Any
else:

    @runtime_checkable
    class Array(Protocol):
        """Anything with a shape and a dtype; annotations name its axes: `Float[Array, "T N"]`."""

        shape: Any
        dtype: Any


Tree: TypeAlias = Any
"""An array, or a dict or tuple of trees."""

Params: TypeAlias = dict[str, Any]
"""Parameters: flat, name to array. Names under `stats.` are saved and exported but never differentiated."""


def map_tree(fn: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply `fn` to every array of `tree`, with the arrays in the same places of `rest`.

    Example:
        >>> map_tree(lambda a, b: a + b, {"x": (1, 2)}, {"x": (10, 20)})
        {'x': (11, 22)}
    """
    if isinstance(tree, Mapping):
        return {key: map_tree(fn, tree[key], *(other[key] for other in rest)) for key in sorted(tree)}
    if isinstance(tree, tuple):
        return tuple(map_tree(fn, *items) for items in zip(tree, *rest, strict=True))
    return fn(tree, *rest)


def named_leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every array with its path, keys joined by `/`, in the order that `map_tree` visits.

    Example:
        >>> list(named_leaves({"b": (1, 2), "a": 3}))
        [('a', 3), ('b/0', 1), ('b/1', 2)]
    """
    if isinstance(tree, Mapping):
        items: Any = ((key, tree[key]) for key in sorted(tree))
    elif isinstance(tree, tuple):
        items = ((str(index), item) for index, item in enumerate(tree))
    else:
        yield prefix, tree
        return
    for key, item in items:
        yield from named_leaves(item, f"{prefix}/{key}" if prefix else key)


def replace_leaves(tree: Tree, leaves: Mapping[str, Any], prefix: str = "") -> Tree:
    """The same containers with the arrays that `named_leaves` would call by these names.

    Raises:
        KeyError: a place of the tree has no entry in `leaves`.

    Example:
        >>> replace_leaves({"b": (1, 2)}, {"b/0": 10, "b/1": 20})
        {'b': (10, 20)}
    """

    def path(key: object) -> str:
        return f"{prefix}/{key}" if prefix else str(key)

    if isinstance(tree, Mapping):
        return {key: replace_leaves(tree[key], leaves, path(key)) for key in sorted(tree)}
    if isinstance(tree, tuple):
        return tuple(replace_leaves(item, leaves, path(index)) for index, item in enumerate(tree))
    return leaves[prefix]


def is_trainable(name: str) -> bool:
    """Whether a parameter of this name is differentiated: everything that is not under `stats.`."""
    return not name.startswith("stats.")
