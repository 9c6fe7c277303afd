"""Arguments of a command about one env: the env's id, the command's own options, and the env's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from puffer_core.config.building import build, dump
from puffer_core.config.choosing import Chosen, Named, find
from puffer_core.config.help import add_env_options, add_options
from puffer_core.config.parts import component_section
from puffer_core.config.schema import Option, Section, section_of
from puffer_core.config.settings import collect
from puffer_core.config.sources import Layer, Origin, read_argv
from puffer_core.errors import UsageError, did_you_mean
from puffer_core.plugins import PluginHost, Provided

M = TypeVar("M", bound=BaseModel)
_FLAG = Origin("flag")


class EnvRequest(NamedTuple):
    """The env that a command is about, its options by name, and whether the answer is to be JSON."""

    id: str
    provided: Provided
    options: dict[str, Any]
    json: bool = False


def env_arguments(command: str, argv: Sequence[str], host: PluginHost, model: type[M]) -> tuple[EnvRequest, M]:
    """Understand `puffer COMMAND ENV [--env.KEY VALUE ...] [--json] [options]`.

    Args:
        command: as typed after `puffer`.
        argv: what stands after it.
        host: knows the envs.
        model: the command's own options.

    Raises:
        UsageError: no env, an unknown one, or an argument that does not fit; everything that is wrong at once.
        PluginError: the env cannot be used.
    """
    leading, flags = read_argv(argv)
    own = {**section_of(model).members, "json": Option(("json",), bool)}
    surplus = collect([flags], Section((), {**own, "env": Section(("env",), open=True)}), {}).surplus
    ids = [*leading, *(token for token, _ in surplus)]
    remedy = f"See `puffer {command} --help`."
    if not ids:
        names = [item.spec.name for item in host.provided("env")]
        raise UsageError(f"puffer {command}: got no env, expected the id of one", remedy=did_you_mean("", names))
    if len(ids) > 1:
        raise UsageError(f"puffer {command}: unexpected argument {ids[1]!r} beside {ids[0]!r}", remedy=remedy)
    env = find(host, "env", Named(ids[0]))
    root = Section((), {**own, "env": component_section(env, ("env",))})
    settings = collect([Layer(_FLAG, texts=flags.texts)], root, {})
    problems = settings.problems
    made = build(model, section_of(model), settings.values, problems, f"puffer {command}")
    options = _env_options(env, root.members["env"], settings.values, problems)
    if problems or made is None:
        raise UsageError("\n".join(dict.fromkeys(problems)), remedy=remedy)
    json = settings.values.get(("json",))
    return EnvRequest(ids[0], env.provided, options, bool(json and json.value)), made


def _env_options(env: Chosen, section: Section | Option, values: dict[Any, Any], problems: list[str]) -> dict[str, Any]:
    assert isinstance(section, Section)
    if env.model is None:
        return {key[-1]: setting.value for key, setting in values.items() if key[:-1] == ("env",)}
    config = build(env.model, section, values, problems, env.provided.label)
    return {name: getattr(config, name) for name in dump(config)} if config is not None else {}


def env_command_help(command: str, description: str, argv: Sequence[str], host: PluginHost, model: type[M]) -> str:
    """What `puffer COMMAND [ENV] --help` prints; the env's own options where it is named.

    Raises:
        UsageError: an unknown env.
        PluginError: it cannot be used.
    """
    leading, _ = read_argv([token for token in argv if token not in ("-h", "--help")])
    env = find(host, "env", Named(leading[0])) if leading else None
    parser = argparse.ArgumentParser(
        prog=f"puffer {command}",
        usage=f"puffer {command} {leading[0] if leading else 'ENV'} [options]",
        description=description,
        add_help=False,
    )
    options = parser.add_argument_group("options")
    add_options(options, section_of(model).options())
    options.add_argument("--json", action="store_true", help="Print JSON.")
    options.add_argument("-h", "--help", action="help", help="Show this help.")
    add_env_options(parser, env)
    return parser.format_help()
