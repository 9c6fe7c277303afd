"""Fields: what an env's record is made of, read from its class: annotated numbers, and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, get_args, get_origin, get_type_hints

import numpy as np

from puffer_core.errors import UsageError

Float32: TypeAlias = Annotated[float, np.dtype(np.float32)]
Int8: TypeAlias = Annotated[int, np.dtype(np.int8)]
Int16: TypeAlias = Annotated[int, np.dtype(np.int16)]
Int32: TypeAlias = Annotated[int, np.dtype(np.int32)]
UInt8: TypeAlias = Annotated[int, np.dtype(np.uint8)]
UInt64: TypeAlias = Annotated[int, np.dtype(np.uint64)]

Constant: TypeAlias = Annotated[int, "constant"]
"""An option that is compiled in, `size: Constant = 8`: arrays and spaces may have their shapes from it."""

_PLAIN = {float: np.dtype(np.float64), int: np.dtype(np.int64), bool: np.dtype(np.bool_)}


class Array:
    """Declares a field of many numbers, all of one type: `walls = Array(UInt8, "size", "size")`.

    Its elements are read and written one by one, `self.walls[row, column]`; they are all 0 until the first `reset`.
    In an env that runs as it is written, the field is a `memoryview`.

    Args:
        element: type of the elements: float, int, bool, or a type of this module.
        shape: elements along each axis, >= 1: an integer, or the name of a constant of the class.

    Example:
        >>> from gymnasium.spaces import Box, Discrete
        >>> from puffer_env_native import NativeEnv, UInt8
        >>> class Board(NativeEnv):
        ...     size: Constant = 3
        ...     cells = Array(UInt8, "size", "size")
        >>> board = Board(size=5)
        >>> board.cells[4, 4] = 7
        >>> board.cells[4, 4], len(board.cells)
        (7, 5)
    """

    def __init__(self, element: Any, *shape: int | str) -> None:
        self.element, self.shape = element, shape

    if TYPE_CHECKING:  # what the field is, rather than what declares it

        def __getitem__(self, index: int | tuple[int, ...]) -> Any: ...

        def __setitem__(self, index: int | tuple[int, ...], value: float) -> None: ...

        def __len__(self) -> int: ...


def elements(array: np.ndarray[Any, Any]) -> Array:
    """What an env's methods are given of a NumPy array: its elements, read as Python numbers.

    Example:
        >>> cells = elements(np.zeros((2, 2), np.uint8))
        >>> cells[1, 1] = 255
        >>> cells[-1, -1] + 1
        256
    """
    return memoryview(array)  # type: ignore[arg-type, return-value]


@dataclass(frozen=True)
class Field:
    """One number of an env's record, or one array of numbers.

    Args:
        name: the attribute that the env's methods read and write.
        dtype: how it is stored; arithmetic is in float64 and int64 whatever it is, as in Python.
        default: None for state. A number makes it an option: given when the batch is made, the same for
            every env of it, and never written by a step.
        shape: of an array; empty for a number.
    """

    name: str
    dtype: np.dtype[Any]
    default: float | None = None
    shape: tuple[int, ...] = ()

    @property
    def is_option(self) -> bool:
        """Whether it is given when a batch is made and never changes, rather than state."""
        return self.default is not None

    def stored(self, value: float) -> float:
        """The value after a round trip through the field's dtype."""
        return self.dtype.type(value).item()  # type: ignore[no-any-return]


def fields_of(env_class: type) -> tuple[Field, ...]:
    """The fields that a class and its bases declare: numbers first, then arrays, bases first.

    Raises:
        UsageError: an annotation that is not a number: float, int, bool, or a type of this module; or an array whose
            shape is not known.
    """
    numbers = [
        Field(name, _dtype(env_class, name, hint), getattr(env_class, name, None))
        for name, hint in _annotated(env_class).items()
        if hint != Constant
    ]
    arrays = [
        Field(name, _dtype(env_class, name, array.element), shape=_shape(env_class, name, array))
        for name, array in _arrays(env_class).items()
    ]
    return (*numbers, *arrays)


def constants_of(env_class: type) -> tuple[str, ...]:
    """Names of the options that are compiled in.

    Raises:
        UsageError: one has no integer as its value.
    """
    names = tuple(name for name, hint in _annotated(env_class).items() if hint == Constant)
    for name in names:
        value = getattr(env_class, name, None)
        if not isinstance(value, int):
            raise UsageError(f"{env_class.__name__}.{name} is {value!r}; a Constant is an integer or a flag")
    return names


def _annotated(env_class: type) -> dict[str, Any]:
    hints = get_type_hints(env_class, include_extras=True)
    return {name: hint for name, hint in hints.items() if hint is not ClassVar and get_origin(hint) is not ClassVar}


def _arrays(env_class: type) -> dict[str, Array]:
    named: dict[str, Any] = {}
    for base in reversed(env_class.__mro__):
        named |= vars(base)
    return {name: value for name, value in named.items() if isinstance(value, Array)}


def _shape(env_class: type, name: str, array: Array) -> tuple[int, ...]:
    shape: tuple[Any, ...] = tuple(
        getattr(env_class, size, size) if isinstance(size, str) else size for size in array.shape
    )
    if not shape or not all(isinstance(size, int) and size >= 1 for size in shape):
        given = ", ".join(map(repr, shape))
        raise UsageError(
            f"{env_class.__name__}.{name} has the shape ({given}), expected integers >= 1",
            remedy="a name in a shape is that of a constant of the class",
        )
    return shape


def _dtype(env_class: type, name: str, hint: Any) -> np.dtype[Any]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], np.dtype):
        return get_args(hint)[1]  # type: ignore[no-any-return]
    raise UsageError(
        f"{env_class.__name__}.{name} is annotated {hint!r}; a field is float, int, bool, "
        "or one of Float32, Int8, Int16, Int32, UInt8, UInt64",
        remedy="a constant of the class needs no annotation, or ClassVar; an array is declared `name = Array(...)`",
    )
