"""From layers to settings: every text and every value finds its option, the highest layer wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from puffer_core.config.index import NAMED, Index
from puffer_core.config.kinds import element, is_switch
from puffer_core.config.schema import Key, Option, Section
from puffer_core.config.sources import Given, Layer, Origin
from puffer_core.config.texts import adapt, parse, parse_free
from puffer_core.config.words import describe, show

_ONLY_KEYS: tuple[Key, ...] = tuple((kind,) for kind in (*NAMED, "vector", "logger"))
_ONLY_FLAGS: tuple[Key, ...] = (*_ONLY_KEYS[:-2], ("logger",), ("config",), ("help",))


@dataclass(frozen=True)
class Setting:
    """A value for an option, and who gave it."""

    key: Key
    value: Any
    origin: Origin


@dataclass
class Settings:
    """What was set, by key; what was wrong with it; and what is left of the command line."""

    values: dict[Key, Setting] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    surplus: list[tuple[str, str]] = field(default_factory=list)
    """Arguments that belong to no flag, each with the flag before it."""
    strangers: list[str] = field(default_factory=list)
    """Variables that begin like ours and name nothing of ours."""


def collect(layers: Sequence[Layer], root: Section, stale: Mapping[Key, frozenset[int]]) -> Settings:
    """Every setting of every layer, lowest first.

    Args:
        layers: lowest first.
        root: the options there are.
        stale: layers, by their place, to leave out of a section: their options belong to another component.
    """
    settings = Settings()
    index = Index(root)
    for place, layer in enumerate(layers):
        fresh = _without(layer, [key for key, places in stale.items() if place in places])
        found = (*_walk(root, fresh.data, layer.origin, index, settings), *_read(fresh, index, settings))
        settings.values |= {setting.key: setting for setting in found}
    return settings


def _without(layer: Layer, sections: list[Key]) -> Layer:
    """A layer without some top-level sections."""
    names = {key[0] for key in sections}
    data = {name: value for name, value in layer.data.items() if name not in names}
    return replace(layer, data=data, texts=tuple(t for t in layer.texts if t.name.lower().split(".")[0] not in names))


def _walk(section: Section, data: Mapping[str, Any], origin: Origin, index: Index, into: Settings) -> Iterator[Setting]:
    """The settings of nested data."""
    for name, value in data.items():
        key = (*section.key, name)
        member = section.members.get(name)
        if isinstance(member, Section):
            if isinstance(value, Mapping):
                yield from _walk(member, value, origin, index, into)
            elif key not in [(kind,) for kind in (*NAMED, "logger")]:  # their section may be the name alone
                into.problems.append(f"{origin.where(key)}: got {show(value)}, expected a table of options")
        elif isinstance(member, Option):
            yield Setting(key, adapt(member.annotation, value), origin)
        elif section.open:
            yield Setting(key, value, origin)
        elif not _chosen_elsewhere(section, value):
            into.problems.append(_unknown(origin, key, index, section))


def _chosen_elsewhere(section: Section, value: Any) -> bool:
    """Whether this is the table of a logger that a higher layer did not choose."""
    return section.key == ("logger",) and isinstance(value, Mapping)


def _unknown(origin: Origin, key: Key, index: Index, section: Section | None = None) -> str:
    near = index.nearest(".".join(key), (_ONLY_FLAGS if origin.form == "flag" else _ONLY_KEYS) if len(key) == 1 else ())
    if near:
        return f"{origin.where(key)}: unknown {_thing(origin)}. Did you mean {_listed(origin, near, key)}?"
    siblings = sorted(section.members) if section and section.key else []
    return f"{origin.where(key)}: unknown {_thing(origin)}" + (f". Known: {', '.join(siblings)}." if siblings else "")


def _thing(origin: Origin) -> str:
    return {"flag": "flag", "variable": "variable"}.get(origin.form, "key")


def _listed(origin: Origin, keys: list[Key], beside: Key) -> str:
    """Keys as they are written there; the last part alone for a neighbour in a file."""
    short = origin.form in ("file", "argument")
    return " or ".join(key[-1] if short and key[:-1] == beside[:-1] else origin.spell(key) for key in keys)


def _read(layer: Layer, index: Index, into: Settings) -> Iterator[Setting]:
    """The settings of texts, now that there are types to read them by."""
    for given in layer.texts:
        option, off = index.find(given.name), False
        if option is None and layer.origin.form == "flag" and (option := index.switch(given.name)):
            off = True
        if given.name.lower() == "logger":
            into.surplus += [(token, given.origin.place) for token in given.tokens[1 - (given.value is not None) :]]
        elif option is None:
            _report_unknown(given, index, into)
        elif off:
            into.surplus += [(token, given.origin.place) for token in given.tokens]
            yield Setting(option.key, value=False, origin=given.origin)
        else:
            text, used = _take(option, given)
            into.surplus += [(token, given.origin.place) for token in given.tokens[used:]]
            if text is None:
                into.problems.append(f"{given.origin.place}: got nothing, expected {describe(option.annotation)}")
            else:
                yield Setting(option.key, _value(option, text), given.origin)


def _report_unknown(given: Given, index: Index, into: Settings) -> None:
    """A misspelt variable is an error; one that resembles nothing of ours is somebody else's."""
    key = tuple(given.name.split("."))
    if given.origin.form == "variable" and not index.nearest(given.name):
        into.strangers.append(given.origin.place)
    elif given.name.lower().startswith("logger."):
        if given.origin.form == "flag":
            name = given.name.split(".")[1]
            into.problems.append(f"{given.origin.place}: logger {name} is not chosen, expected --logger {name} too")
    else:
        into.problems.append(_unknown(given.origin, key, index))


def _take(option: Option, given: Given) -> tuple[str | list[str] | None, int]:
    """The text that belongs to an option, and how many of the tokens after its flag that is."""
    if given.value is not None:
        return given.value, 0
    if is_switch(option.annotation):
        stated = given.tokens and given.tokens[0].lower() in ("true", "false")
        return (given.tokens[0], 1) if stated else ("true", 0)
    if not given.tokens:
        return ("true", 0) if option.annotation is Any else (None, 0)
    inner = element(option.annotation)
    if inner is None or inner is Any:
        return given.tokens[0], 1
    used = 1
    while used < len(given.tokens) and _fits(inner, given.tokens[used]):
        used += 1
    return list(given.tokens[:used]), used


def _fits(annotation: Any, text: str) -> bool:
    try:
        parse(annotation, text)
    except ValueError:
        return False
    return True


def _value(option: Option, text: str | list[str]) -> Any:
    """The value that a text stands for; the text itself where it stands for none, which validation will say."""
    if option.annotation is Any:
        return parse_free(text) if isinstance(text, str) else text
    try:
        return parse(option.annotation, text)
    except (ValueError, OverflowError):
        return text if isinstance(text, str) or len(text) > 1 else text[0]
