"""From text, and from data as JSON has it, to values of a type."""

from __future__ import annotations

import math
from pathlib import Path
from types import NoneType
from typing import Any

from puffer_core.config.kinds import choices, element, members, unwrap
from puffer_core.config.words import show_plain

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NONE = ("none", "null")
_NON_FINITE = ("inf", "-inf", "nan")


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
    if choices(base):
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
    for value in choices(base):
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
