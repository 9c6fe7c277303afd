"""Where settings come from: a file, variables of the environment, flags, and Python; read, and not yet understood."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from puffer_core.config.schema import Key
from puffer_core.config.words import show
from puffer_core.errors import UsageError

DEFAULT_FILE = Path("puffer.toml")
PREFIX = "PUFFER_"
NOT_OPTIONS = frozenset({"PUFFER_PLUGINS", "PUFFER_DISABLE_PLUGINS", "PUFFER_CORES"})
"""Variables that the plugin host reads, and the one that says how many cores are this process's."""
DEPTH = 32
"""Levels of nested data in one setting."""
BITS = 1024
"""Of an integer: as large as a float can be, and short enough for Python to print."""
_POSITION = re.compile(r"(.*) \((?:at )?(line \d+, column \d+|end of document)\)", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """Who set a value, for messages. `place` is the file, the variable, the flag as typed; empty for Python."""

    form: Literal["file", "variable", "flag", "argument"]
    place: str = ""

    def where(self, key: Key) -> str:
        """The place and, where the place does not say it, the key.

        Example:
            >>> Origin("file", "a.toml").where(("policy", "hidden_sizes"))
            'a.toml: policy.hidden_sizes'
        """
        dotted = ".".join(key)
        return {"file": f"{self.place}: {dotted}", "argument": f"argument {dotted}"}.get(self.form, self.place)

    def spell(self, key: Key) -> str:
        """How an option is written there.

        Example:
            >>> Origin("flag", "--polcy").spell(("policy", "hidden_sizes"))
            '--policy.hidden-sizes'
        """
        if self.form == "flag":
            return "--" + ".".join(key).replace("_", "-")
        return PREFIX + "__".join(key).upper().replace("-", "_") if self.form == "variable" else ".".join(key)


@dataclass(frozen=True)
class Given:
    """A flag or a variable.

    Args:
        name: dotted, as typed: `policy.hidden-sizes`.
        origin: for messages.
        value: what stands behind `=`, or a variable's value; None for a flag without `=`.
        tokens: what follows a flag up to the next; how much of it is the flag's is not known before its type is.
    """

    name: str
    origin: Origin
    value: str | None = None
    tokens: tuple[str, ...] = ()

    @property
    def first(self) -> str:
        """Its value, if it has one."""
        return self.value if self.value is not None else next(iter(self.tokens), "")


@dataclass(frozen=True)
class Layer:
    """Settings from one place: nested data, or texts whose types are not known yet."""

    origin: Origin
    data: dict[str, Any] = field(default_factory=dict)
    texts: tuple[Given, ...] = ()


def read_file(path: str | Path | None) -> Layer:
    """A TOML file, or JSON where its name ends so; `puffer.toml` of the working directory, if there, for None.

    Raises:
        UsageError: it cannot be read; names file, line and column.
    """
    file = DEFAULT_FILE if path is None else Path(path)
    origin = Origin("file", str(file))
    if path is None and not file.is_file():
        return Layer(origin)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: byte {error.start} is not UTF-8, expected a TOML file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        asked = "" if path is None else "--config "
        raise UsageError(f"{asked}{file}: {reason}, expected a TOML file that can be read") from error
    return Layer(origin, data=_parse(file, text))


def _parse(file: Path, text: str) -> dict[str, Any]:
    import tomllib  # costs 10 ms, and most runs have no file

    kind, load = ("JSON", json.loads) if file.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        data = load(text)
    except RecursionError:
        raise UsageError(f"{file}: not {kind}: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{file}: line {error.lineno}, column {error.colno}: not {kind}: {error.msg}") from error
    except ValueError as error:
        match = _POSITION.fullmatch(str(error))
        reason, position = match.groups() if match else (str(error), "")
        if position == "end of document":
            position = f"line {text.count(chr(10)) + 1}, column {len(text) - text.rfind(chr(10))}"
        raise UsageError(f"{file}: {position}{': ' if position else ''}not {kind}: {reason}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{file}: got a {type(data).__name__}, expected a table of options")
    return {key: plain(item, Origin("file", str(file)), (key,)) for key, item in data.items()}


def read_environ(environ: Mapping[str, str]) -> Layer:
    """The variables `PUFFER_*`; `__` stands for the dot."""
    origin = Origin("variable")
    texts = [
        Given(name[len(PREFIX) :].lower().replace("__", "."), replace(origin, place=name), value=value)
        for name, value in sorted(environ.items())
        if name.startswith(PREFIX) and name not in NOT_OPTIONS
    ]
    for text in texts:
        check_text(text.value or "", text.origin.place)
    return Layer(origin, texts=tuple(texts))


def read_arguments(values: Mapping[str, Any]) -> Layer:
    """Settings of a Python call, as JSON has them.

    Raises:
        UsageError: one is neither data nor a pydantic model.
    """
    origin = Origin("argument")
    return Layer(origin, data={str(key): plain(value, origin, (str(key),)) for key, value in values.items()})


def plain(value: Any, origin: Origin, key: Key, depth: int = 0) -> Any:
    """A value as JSON has it: tuples and arrays become lists, paths text, models tables."""
    if depth > DEPTH:
        raise UsageError(f"{origin.where(key)}: got more than {DEPTH} levels, expected fewer")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        check_text(value, origin.where(key))
    if isinstance(value, int) and value.bit_length() > BITS:
        raise UsageError(f"{origin.where(key)}: got {show(value)}, expected at most {BITS}")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(name): plain(item, origin, (*key, str(name)), depth + 1) for name, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return plain(value.tolist(), origin, key, depth + 1)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [plain(item, origin, key, depth + 1) for item in value]
    if isinstance(value, Path) or hasattr(value, "isoformat"):  # TOML has dates
        return str(value)
    raise UsageError(
        f"{origin.where(key)}: got {type(value).__name__}, expected numbers, text, lists and tables, which JSON has"
    )


def read_argv(argv: Sequence[str]) -> tuple[list[str], Layer]:
    """What stands before the first flag, and the flags. `--` ends the flags.

    Raises:
        UsageError: an argument that is not text.
    """
    leading: list[str] = []
    texts: list[Given] = []
    for index, argument in enumerate(argv):
        check_text(argument, f"argument {argument!a}")
        if argument == "--":
            leading += argv[index + 1 :]
            break
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            texts.append(Given(name, Origin("flag", f"--{name}"), value=value if equals else None))
        elif texts and texts[-1].value is None:
            texts[-1] = replace(texts[-1], tokens=(*texts[-1].tokens, argument))
        else:
            leading.append(argument)
    return leading, Layer(Origin("flag"), texts=tuple(texts))


def check_text(text: str, where: str) -> None:
    """Refuse bytes of another encoding, which Python carries in text as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{where}: got {text!a}, which is not UTF-8, expected text") from error
