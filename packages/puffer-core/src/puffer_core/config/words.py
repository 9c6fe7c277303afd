"""Types and values in words, for messages and help."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from puffer_core.config.kinds import choices, element, is_table, members, unwrap

_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
    NoneType: ("none", "none"),
}
_BOUNDS = {"gt": "> {}", "ge": ">= {}", "lt": "< {}", "le": "<= {}", "multiple_of": "a multiple of {}"}


def describe(annotation: Any, *, plural: bool = False) -> str:
    """What is expected, in words.

    Example:
        >>> from typing import Literal
        >>> describe(tuple[int, ...])
        'a list of integers'
        >>> describe(Literal["adam", "sgd"] | None)
        'one of adam, sgd or none'

    A text beside a pattern says it in words:

    >>> from typing import Annotated
    >>> from pydantic import Field
    >>> describe(Annotated[str, Field(pattern="^(cpu|cuda(:[0-9])?)$"), "one of cpu, cuda, cuda:N"])
    'one of cpu, cuda, cuda:N'
    """
    if len(alternatives := members(annotation)) > 1:
        return " or ".join(describe(member, plural=plural) for member in alternatives)
    base, constraints = unwrap(annotation)
    if named := [show_plain(value) for value in choices(base)]:
        return named[0] if len(named) == 1 else f"one of {', '.join(named)}"
    inner = element(base)
    if inner is not None:
        words = "a list" if inner is Any else f"a list of {_count(base)}{describe(inner, plural=True)}"
    elif is_table(base):
        words = "a table"
    else:
        words = _in_words(constraints) or _WORDS.get(base, ("a value", "values"))[plural]
    return words + _limits(constraints)


def _in_words(constraints: list[Any]) -> str:
    """What stands beside a pattern, for those who do not read patterns."""
    has_pattern = any(getattr(constraint, "pattern", None) for constraint in constraints)
    return next((item for item in constraints if has_pattern and isinstance(item, str)), "")


def _count(base: Any) -> str:
    """How many elements a tuple has, where it says so."""
    inner = get_args(base)
    return f"{len(inner)} " if get_origin(base) is tuple and Ellipsis not in inner else ""


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
        if (pattern := getattr(constraint, "pattern", None)) and not _in_words(constraints):
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
    if named := [show_plain(value) for value in choices(base)]:
        return named[0] if len(named) == 1 else "{" + ",".join(named) + "}"
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
