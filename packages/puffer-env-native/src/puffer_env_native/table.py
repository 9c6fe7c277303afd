"""Table: the addresses that one compiled call works on, and how rows lie behind each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np

from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout, Leaf
from puffer_env_native.env import NativeEnv

NO_LIMIT = 2**62
_FLAG, _REAL = np.dtype(np.bool_), np.dtype(np.float32)


@dataclass(frozen=True)
class Column:
    """One array of a batch: an array of `shape` a row, or one element that all rows share."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()
    shared: bool = False

    @property
    def width(self) -> int:
        """Elements a row."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Table:
    """Which array each entry of the table points to, for one class of env.

    The fields of the record come first, each an array of its own (structure of arrays, so that neighbouring rows
    load as one vector), then what the step reads and writes beside them.

    Raises:
        UnsupportedError: a nested space, one of float16, or a mask of actions that are no choices.
    """

    env_class: type[NativeEnv]

    def __post_init__(self) -> None:
        for space in (self.observation, self.action):
            if len(space.leaves) != 1 or space.leaves[0].path:
                raise UnsupportedError(
                    f"{self.env_class.__name__} has the space {space.space}",
                    remedy="a native env's spaces are Box, Discrete, MultiDiscrete or MultiBinary",
                )
            if space.dtype == np.float16:
                raise UnsupportedError(
                    f"{self.env_class.__name__} has the space {space.space}, and float16 does not compile",
                    remedy="a Box of float32 holds the same numbers",
                )
        if self.masked and not self.action.mask_size:
            raise UnsupportedError(
                f"{self.env_class.__name__} masks its actions, but {self.action.space} has no choices"
            )

    @cached_property
    def observation(self) -> Layout:
        return Layout.of(self.env_class.observation_space)

    @cached_property
    def action(self) -> Layout:
        return Layout.of(self.env_class.action_space)

    @property
    def action_leaf(self) -> Leaf:
        return self.action.leaves[0]

    @cached_property
    def methods(self) -> dict[str, FunctionType]:
        """The env's methods that compiled code may call; pictures are always drawn by plain Python."""
        named = {name: getattr(self.env_class, name) for name in dir(self.env_class)}
        return {
            name: method
            for name, method in named.items()
            if isinstance(method, FunctionType) and not name.startswith("__") and name != "render"
        }

    @cached_property
    def masked(self) -> bool:
        """Whether the env says which actions are valid."""
        return hasattr(self.env_class, "action_mask")

    @cached_property
    def observes_in_place(self) -> bool:
        """Whether `observe` writes into an array that it is given, rather than returning numbers."""
        return self.env_class.observe.__code__.co_argcount > 1

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        fields = [Column(f.name, f.dtype, f.shape, shared=f.is_option) for f in self.env_class.FIELDS]
        mask = [Column("@action_mask", _FLAG, (self.action.mask_size,))] if self.masked else []
        seen = (self.observation.dtype, self.observation.shape)
        return (
            *fields,
            *mask,
            Column("@action", self.action.dtype, self.action.shape),
            Column("@observation", *seen),
            Column("@final_observation", *seen),
            Column("@reward", _REAL),
            Column("@terminated", _FLAG),
            Column("@truncated", _FLAG),
            Column("@start", np.dtype(np.int64), shared=True),
            Column("@stop", np.dtype(np.int64), shared=True),
            Column("@count", np.dtype(np.int64), shared=True),
            Column("@limit", np.dtype(np.int64), shared=True),
            Column("@visited", np.dtype(np.int64), shared=True),
        )

    @cached_property
    def index(self) -> dict[str, int]:
        return {column.name: i for i, column in enumerate(self.columns)}

    def column(self, name: str) -> Column:
        """The column of that name."""
        return self.columns[self.index[name]]
