"""The help of `puffer train TRAINER`: every option of the run's components, with its doc line, range and default."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from puffer_core.config.choosing import Chosen
from puffer_core.config.kinds import element, is_switch
from puffer_core.config.parts import Parts, component_section, find_parts
from puffer_core.config.schema import REQUIRED, Option, section_of
from puffer_core.config.sources import Layer, Origin, read_argv
from puffer_core.config.words import describe, metavar, show_plain
from puffer_core.plan import RunOptions, SeedOptions, VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.specs import Spec

_PLACES = (
    "Options may also stand in puffer.toml (or --config FILE), as in `learning_rate = 1e-3` or `[policy] name = "
    '"mlp"`, and in variables such as PUFFER_LEARNING_RATE or PUFFER_VECTOR__NUM_ENVS. A variable goes before the '
    "file, a flag before both."
)


def trainer_help(host: PluginHost, trainer: str, argv: Sequence[str] = ()) -> str:
    """What `puffer train TRAINER [SOURCE] [--policy NAME ...] --help` prints: the options of the chosen components.

    Raises:
        UsageError: a component is unknown.
        PluginError: one cannot be used.
    """
    leading, flags = read_argv([token for token in argv if token not in ("-h", "--help")])
    named = Layer(Origin("flag"), data={"source": leading[0]} if leading else {})
    parts = find_parts(host, trainer, [flags, named])
    source = "SOURCE" if parts.env is None else parts.source.name
    parser = argparse.ArgumentParser(
        prog=f"puffer train {trainer}",
        usage=f"puffer train {trainer} {source} [options]",
        description=f"{parts.trainer.spec.summary}.".replace("..", "."),
        epilog=_PLACES.replace("%", "%%"),
        add_help=False,
    )
    _add_components(parser, host, parts)
    return parser.format_help()


def _add_components(parser: argparse.ArgumentParser, host: PluginHost, parts: Parts) -> None:
    _add(parser, f"trainer {parts.trainer.spec.name}", _options(parts.trainer, ()))
    run = _add(parser, "run", section_of(RunOptions).options())
    run.add_argument("--config", metavar="FILE", help="A TOML file of options, in place of puffer.toml.")
    run.add_argument("-h", "--help", action="help", help="Show this help.")
    _add(parser, "several seeds", section_of(SeedOptions).options())
    for kind, chosen in (("policy", parts.policy), ("backend", parts.backend)):
        names = _names(host, kind, (parts.trainer.spec, parts.policy.spec) if kind == "backend" else ())
        group = parser.add_argument_group(f"{kind} {chosen.spec.name}")
        group.add_argument(f"--{kind}", metavar="NAME", help=f"Which {kind}: {names} (default: {chosen.named.name})")
        add_options(group, _options(chosen, (kind,)))
    if parts.trainer_spec.source == "env":
        _add(parser, "vector", section_of(VectorConfig, ("vector",)).options())
        add_env_options(parser, parts.env)
    group = parser.add_argument_group("loggers")
    text = f"Where metrics go beside metrics.jsonl: {_names(host, 'logger', ())}; repeatable"
    group.add_argument("--logger", metavar="NAME", help=text)
    for name, chosen in parts.loggers.items():
        add_options(group, _options(chosen, ("logger", name)))


def add_env_options(parser: argparse.ArgumentParser, env: Chosen | None) -> None:
    """The options of an env, in a group of their own; how to write them where the env is not known."""
    title = f"env {env.named.name}" if env else "env"
    group = _add(parser, title, _options(env, ("env",)) if env else ())
    if env is None or component_section(env, ("env",)).open:
        group.add_argument("--env.KEY", metavar="VALUE", help="What the env's constructor takes, if anything.")


def _names(host: PluginHost, kind: str, users: Sequence[Spec]) -> str:
    names = {item.spec.name for item in host.provided(kind)}
    return ", ".join(sorted(name for name in names if all(spec.runs_on(name) for spec in users)))


def _options(chosen: Chosen, key: tuple[str, ...]) -> Iterable[Option]:
    return component_section(chosen, key).options()


def _add(parser: argparse.ArgumentParser, title: str, options: Iterable[Option]) -> argparse._ArgumentGroup:
    group = parser.add_argument_group(title)
    add_options(group, options)
    return group


def add_options(group: argparse._ArgumentGroup, options: Iterable[Option]) -> None:
    """Flags of options, each with its doc line."""
    for option in options:
        flag = Origin("flag").spell(option.key)
        if is_switch(option.annotation):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, help=_text(option))
        else:
            many: dict[str, Any] = {"nargs": "+"} if element(option.annotation) is not None else {}
            group.add_argument(flag, metavar=metavar(option.annotation), help=_text(option), **many)


def _text(option: Option) -> str:
    """Doc line, what is expected where the placeholder does not say it, and the default."""
    notes = []
    expected = describe(option.annotation)
    if any(sign in expected for sign in "<>,") and not expected.startswith("one of"):
        notes.append(expected.removeprefix("an integer ").removeprefix("a number "))
    notes.append("required" if option.default is REQUIRED else f"default: {show_plain(option.default) or 'empty'}")
    return f"{option.doc} ({'; '.join(notes)})".strip().replace("%", "%%")
