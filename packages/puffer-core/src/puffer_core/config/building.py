"""From settings to validated models; what does not fit is said in one form, whoever set it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from puffer_core.config.schema import Key, Option, Section
from puffer_core.config.settings import Setting
from puffer_core.config.texts import to_json
from puffer_core.config.words import describe, show
from puffer_core.errors import PluginError

M = TypeVar("M", bound=BaseModel)

_DESCRIBED = ("type", "parsing", "literal", "enum", "finite", "greater", "less", "mult", "too_", "string", "missing")
"""Parts of the kinds of error that the words for what is expected cover; of others pydantic's message is shown too."""


def build(
    model: type[M], section: Section, settings: Mapping[Key, Setting], problems: list[str], label: str
) -> M | None:
    """A model of the settings of its section; None, with the reasons added to `problems`, if they do not fit.

    Raises:
        PluginError: the model's own validation fails with something else than a validation error.
    """
    mine = {key: setting for key, setting in settings.items() if _belongs(section, key)}
    try:
        text = json.dumps(_nested(section, mine))
        return model.model_validate_json(text, strict=True)  # strict JSON: lists for tuples, but no text for numbers
    except ValidationError as error:
        problems += _explain(error, section, mine, label)
    except Exception as error:
        raise PluginError(f"the options of {label} cannot be checked: {type(error).__name__}: {error}") from error
    return None


def dump(config: BaseModel) -> dict[str, Any]:
    """A model as standard JSON, of which `build` makes the same model."""
    dumped: dict[str, Any] = to_json(config.model_dump(mode="json"))
    return dumped


def _belongs(section: Section, key: Key) -> bool:
    if key[: len(section.key)] != section.key or len(key) == len(section.key):
        return False
    return section.open or key[len(section.key)] in section.members


def _nested(section: Section, settings: Mapping[Key, Setting]) -> dict[str, Any]:
    """The values below a section as a tree. A nested model that is touched keeps the rest of its parent's default."""
    values: dict[str, Any] = {}
    for key, setting in settings.items():
        here, table = section, values
        for name in key[len(section.key) : -1]:
            inner = here.members[name]
            assert isinstance(inner, Section)
            here = inner
            table = table.setdefault(name, here.default.model_dump(mode="json") if here.default else {})
        table[key[-1]] = setting.value
    return values


def _explain(error: ValidationError, section: Section, settings: Mapping[Key, Setting], label: str) -> list[str]:
    """One line for each option that is wrong, and one for each rule about several."""
    lines: dict[str, None] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        option = _option_at(section, detail["loc"])
        reason = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if option is None:
            lines[f"{_places(settings.values()) or label}: got options of {label} that do not fit: {reason}"] = None
            continue
        said = "" if any(part in detail["type"] for part in _DESCRIBED) else f" ({reason})"
        if option.key not in settings and detail["type"] == "missing":
            lines[f"{'.'.join(option.key)}: got nothing, expected {describe(option.annotation)} for {label}"] = None
        else:
            lines[_mismatch(option, settings, label) + said] = None
    return _without_echoes(list(lines))


def _mismatch(option: Option, settings: Mapping[Key, Setting], label: str) -> str:
    setting = settings.get(option.key)
    where = setting.origin.where(option.key) if setting else f"{'.'.join(option.key)} of {label}"
    value = show(setting.value if setting else option.default)
    return f"{where}: got {value}, expected {describe(option.annotation)}"


def _without_echoes(lines: list[str]) -> list[str]:
    """Without those that another line begins with: alternatives of a union complain one by one."""
    return [line for line in lines if not any(other != line and line.startswith(other) for other in lines)]


def _option_at(section: Section, loc: Iterable[int | str]) -> Option | None:
    member: Section | Option | None = section
    for part in loc:
        if not isinstance(member, Section):
            break
        member = member.members.get(str(part))
    return member if isinstance(member, Option) else None


def _places(settings: Iterable[Setting]) -> str:
    return ", ".join(dict.fromkeys(setting.origin.where(setting.key) for setting in settings))
