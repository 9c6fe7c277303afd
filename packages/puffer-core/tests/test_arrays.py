"""Walks over nested containers of arrays."""

from __future__ import annotations

import pytest

from puffer_core.arrays import is_trainable, map_tree, named_leaves, replace_leaves


def test_leaves_come_in_sorted_order():
    assert list(named_leaves({"b": (1, {"c": 2}), "a": 3})) == [("a", 3), ("b/0", 1), ("b/1/c", 2)]


def test_map_keeps_the_containers():
    assert map_tree(lambda a, b: a * b, {"x": (2, 3), "y": {}}, {"x": (5, 7), "y": {}}) == {"x": (10, 21), "y": {}}


def test_map_refuses_tuples_of_different_length():
    with pytest.raises(ValueError, match="shorter"):
        map_tree(lambda a, b: a, (1, 2), (1,))


def test_replace_is_the_inverse_of_naming():
    tree = {"b": (1, {"c": 2}), "a": 3}
    assert replace_leaves(map_tree(lambda _: 0, tree), dict(named_leaves(tree))) == tree
    assert replace_leaves((), {}) == ()


def test_replace_misses_no_place():
    with pytest.raises(KeyError):
        replace_leaves({"a": 1, "b": 2}, {"a": 5})


def test_statistics_are_not_trainable():
    assert is_trainable("actor.0.weight")
    assert not is_trainable("stats.observation.mean")
