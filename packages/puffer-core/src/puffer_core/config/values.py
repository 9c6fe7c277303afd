"""From a type annotation to words (for messages and help), and from text to a value of that type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
    NoneType: ("none", "none"),
}
_BOUNDS = {"gt": "> {}", "ge": ">= {}", "lt": "< {}", "le": "<= {}", "multiple_of": "a multiple of {}"}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NONE = ("none", "null")
_NON_FINITE = ("inf", "-inf", "nan")


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


def describe(annotation: Any, *, plural: bool = False) -> str:
    """What is expected, in words.

    Example:
        >>> describe(tuple[Annotated[int, FieldInfo(annotation=int)], ...])
        'a list of integers'
        >>> describe(Literal["adam", "sgd"] | None)
        'one of adam, sgd or none'
    """
    if len(alternatives := members(annotation)) > 1:
        return " or ".join(describe(member, plural=plural) for member in alternatives)
    base, constraints = unwrap(annotation)
    if choices := _choices(base):
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    inner = element(base)
    if inner is not None:
        words = "a list" if inner is Any else f"a list of {_count(base)}{describe(inner, plural=True)}"
    elif is_table(base):
        words = "a table"
    else:
        words = _WORDS.get(base, ("a value", "values"))[plural]
    return words + _limits(constraints)


def _count(base: Any) -> str:
    """How many elements a tuple has, where it says so."""
    inner = get_args(base)
    return f"{len(inner)} " if get_origin(base) is tuple and Ellipsis not in inner else ""


def is_table(base: Any) -> bool:
    """Whether a type is written as a table."""
    kind = get_origin(base) or base
    return isinstance(kind, type) and issubclass(kind, (Mapping, BaseModel))


def _choices(base: Any) -> list[str]:
    if get_origin(base) is Literal:
        return [show_plain(value) for value in get_args(base)]
    if isinstance(base, type) and issubclass(base, Enum):
        return [show_plain(member.value) for member in base]
    return []


def _limits(constraints: list[Any]) -> str:
    limits = [
        words.format(_bound(bound))
        for name, words in _BOUNDS.items()
        for constraint in constraints
        if (bound := getattr(constraint, name, None)) is not None
    ]
    lengths = []
    for constraint in constraints:
        if (least := getattr(constraint, "min_length", None)) is not None:
            lengths.append(f"at least {least} long")
        if (most := getattr(constraint, "max_length", None)) is not None:
            lengths.append(f"at most {most} long")
        if pattern := getattr(constraint, "pattern", None):
            lengths.append(f"matching {pattern}")
    return (f" {' and '.join(limits)}" if limits else "") + (f", {' and '.join(lengths)}" if lengths else "")


def _bound(value: Any) -> str:
    large = isinstance(value, int) and value > 2**31 and value.bit_count() == 1
    return f"2**{value.bit_length() - 1}" if large else str(value)


def metavar(annotation: Any) -> str:
    """What stands for the value in help.

    Example:
        >>> metavar(float | None)
        'FLOAT|none'
    """
    if len(alternatives := members(annotation)) > 1:
        return "|".join(metavar(member) for member in alternatives)
    base, _ = unwrap(annotation)
    if choices := _choices(base):
        return choices[0] if len(choices) == 1 else "{" + ",".join(choices) + "}"
    inner = element(base)
    if inner is not None:
        return "VALUE" if inner is Any else metavar(inner)
    if base is NoneType:
        return "none"
    return str(base.__name__).upper() if base in _WORDS else "VALUE"


def show_plain(value: Any) -> str:
    """A value as it is typed.

    Example:
        >>> show_plain(True), show_plain(None), show_plain((64, 64)), show_plain("tanh")
        ('true', 'none', '64 64', 'tanh')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(show_plain(item) for item in value)
    return str(value.value if isinstance(value, Enum) else value)


def show(value: Any) -> str:
    """A value in a message: text is quoted, and nothing is longer than a line."""
    if isinstance(value, list | tuple):
        text = f"[{', '.join(show(item) for item in value[:20])}{', ...' if len(value) > 20 else ''}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key} = {show(item)}" for key, item in list(value.items())[:20]) + "}"
    elif isinstance(value, int) and abs(value) >= 10**30:  # Python refuses to print integers of over 4300 digits
        text = f"an integer of {value.bit_length()} bits"
    else:
        text = repr(value) if isinstance(value, str) else show_plain(value)
    return text if len(text) <= 100 else f"{text[:80]}...{text[-10:]}"


def parse(annotation: Any, text: str | list[str]) -> Any:
    """What a text, or several of a list, mean where this type is expected.

    Raises:
        ValueError: nothing of this type.

    Example:
        >>> parse(int, "1e6"), parse(tuple[int, ...], "64,64"), parse(float | None, "none")
        (1000000, [64, 64], None)
    """
    if len(alternatives := members(annotation)) > 1:
        return _parse_first(alternatives, text)
    base, _ = unwrap(annotation)
    inner = element(base)
    if inner is not None:
        return [parse(inner, item) for item in _items(text)]
    if isinstance(text, list):
        raise ValueError("several texts for one value")
    if _choices(base):
        return _parse_choice(base, text)
    if base is bool:
        return _TRUTH[text.lower()] if text.lower() in _TRUTH else _refuse(text)
    if base is int:
        return _parse_integer(text)
    if base is float:
        return float(text)
    if base is NoneType:
        return None if text.lower() in _NONE else _refuse(text)
    return text if base is str or base is Path else parse_free(text)


def _parse_first(alternatives: tuple[Any, ...], text: str | list[str]) -> Any:
    for member in sorted(alternatives, key=lambda member: unwrap(member)[0] in (str, Any)):
        try:
            return parse(member, text)
        except ValueError:
            continue
    return _refuse(text)


def _parse_choice(base: Any, text: str) -> Any:
    values = get_args(base) if get_origin(base) is Literal else [member.value for member in base]
    for value in values:
        if show_plain(value) == text:
            return value
    return _refuse(text)


def _parse_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        value = float(text)
        return int(value) if value.is_integer() else _refuse(text)


def _items(text: str | list[str]) -> list[str]:
    """The elements of a list: several texts, or one with brackets, commas or (where nothing else parts it) blanks."""
    if isinstance(text, list) and (len(text) != 1 or not ("," in text[0] or text[0].startswith("["))):
        return text
    whole = (text if isinstance(text, str) else text[0]).strip()
    if whole.startswith("[") and whole.endswith("]"):
        whole = whole[1:-1]
    items = whole.split(",") if "," in whole else whole.split()
    return [item.strip().strip("'\"") for item in items if item.strip()]


def _refuse(text: Any) -> Any:
    raise ValueError(text)


def parse_free(text: str) -> Any:
    """What a text means where no type is known: a TOML value if it is one, else the text itself.

    Example:
        >>> parse_free("9.8"), parse_free("rgb_array"), parse_free("[1, 2]"), parse_free("True")
        (9.8, 'rgb_array', [1, 2], True)
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in _NONE:
        return None
    import tomllib

    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = parsed["value"]
    return value if len(parsed) == 1 and isinstance(value, bool | int | float | str | list | dict) else text


def adapt(annotation: Any, value: Any) -> Any:
    """Data as JSON has it, made fit where the type is richer: 1e6 for an integer, "inf" for a number."""
    kinds = {unwrap(member)[0] for member in members(annotation)}
    if isinstance(value, float) and value.is_integer() and int in kinds and float not in kinds:
        return int(value)
    if isinstance(value, str) and value in _NON_FINITE and float in kinds and str not in kinds:
        return float(value)
    inner = element(annotation)
    if isinstance(value, list) and inner is not None:
        return [adapt(inner, item) for item in value]
    return value


def to_json(value: Any) -> Any:
    """A configuration value as standard JSON: numbers that are not finite become text, which `adapt` reads back."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, list | tuple) else value
