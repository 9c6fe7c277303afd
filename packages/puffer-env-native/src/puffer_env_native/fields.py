"""Fields: what an env's record is made of, read from the annotations of its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias, get_args, get_origin, get_type_hints

import numpy as np

from puffer_core.errors import UsageError

Float32: TypeAlias = Annotated[float, np.dtype(np.float32)]
Int8: TypeAlias = Annotated[int, np.dtype(np.int8)]
Int16: TypeAlias = Annotated[int, np.dtype(np.int16)]
Int32: TypeAlias = Annotated[int, np.dtype(np.int32)]
UInt8: TypeAlias = Annotated[int, np.dtype(np.uint8)]
UInt64: TypeAlias = Annotated[int, np.dtype(np.uint64)]

_PLAIN = {float: np.dtype(np.float64), int: np.dtype(np.int64), bool: np.dtype(np.bool_)}


@dataclass(frozen=True)
class Field:
    """One number of an env's record.

    Args:
        name: the attribute that the env's methods read and write.
        dtype: how it is stored; arithmetic is in float64 and int64 whatever it is, as in Python.
        default: None for state. A number makes it an option: given when the batch is made, the same for
            every env of it, and never written by a step.
    """

    name: str
    dtype: np.dtype[Any]
    default: float | None = None

    @property
    def is_option(self) -> bool:
        """Whether it is given when a batch is made and never changes, rather than state."""
        return self.default is not None

    def stored(self, value: float) -> float:
        """The value after a round trip through the field's dtype."""
        return self.dtype.type(value).item()  # type: ignore[no-any-return]


def fields_of(env_class: type) -> tuple[Field, ...]:
    """The fields that a class and its bases declare, bases first.

    Raises:
        UsageError: an annotation that is not a number: float, int, bool, or a type of this module.
    """
    hints = get_type_hints(env_class, include_extras=True)
    return tuple(
        Field(name, _dtype(env_class, name, hint), getattr(env_class, name, None))
        for name, hint in hints.items()
        if hint is not ClassVar and get_origin(hint) is not ClassVar
    )


def _dtype(env_class: type, name: str, hint: Any) -> np.dtype[Any]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], np.dtype):
        return get_args(hint)[1]  # type: ignore[no-any-return]
    raise UsageError(
        f"{env_class.__name__}.{name} is annotated {hint!r}; a field is float, int, bool, "
        "or one of Float32, Int8, Int16, Int32, UInt8, UInt64",
        remedy="a constant of the class needs no annotation, or ClassVar",
    )
