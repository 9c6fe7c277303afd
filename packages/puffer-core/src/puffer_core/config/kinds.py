"""What a type annotation is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """An annotation without its `Annotated`, and the constraints that stood there.

    Example:
        >>> unwrap(Annotated[int, "unit: steps"])
        (<class 'int'>, ['unit: steps'])
    """
    constraints: list[Any] = []
    while get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        for item in metadata:
            constraints += item.metadata if isinstance(item, FieldInfo) else [item]
    return annotation, constraints


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, each with the constraints on the whole; the annotation alone where it is none."""
    base, constraints = unwrap(annotation)
    if get_origin(base) not in (Union, UnionType):
        return (annotation,)
    return tuple(
        member if member is NoneType or not constraints else Annotated[member, *constraints]
        for member in get_args(base)
    )


def element(annotation: Any) -> Any:
    """The type of a list's elements; None where the annotation admits no list."""
    for member in members(annotation):
        base, _ = unwrap(member)
        kind = get_origin(base) or base
        if isinstance(kind, type) and issubclass(kind, (Sequence, AbstractSet)) and not issubclass(kind, (str, bytes)):
            inner = [item for item in get_args(base) if item is not Ellipsis]
            return inner[0] if len(set(inner)) == 1 else Any
    return None


def is_switch(annotation: Any) -> bool:
    """Whether a flag of this type stands without a value."""
    return unwrap(annotation)[0] is bool


def is_table(base: Any) -> bool:
    """Whether a type is written as a table."""
    kind = get_origin(base) or base
    return isinstance(kind, type) and issubclass(kind, (Mapping, BaseModel))


def choices(base: Any) -> list[Any]:
    """The values of a Literal or an Enum; none for other types."""
    if get_origin(base) is Literal:
        return list(get_args(base))
    if isinstance(base, type) and issubclass(base, Enum):
        return [member.value for member in base]
    return []
