"""`resolve`: from a trainer's name and settings of four origins to a run plan."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from puffer_core.config.building import build, dump
from puffer_core.config.choosing import Chosen, source_missing
from puffer_core.config.index import NAMED
from puffer_core.config.parts import Parts, component_section, find_parts
from puffer_core.config.schema import Key, section_of
from puffer_core.config.settings import Settings, collect
from puffer_core.config.sources import Layer, Origin, read_arguments, read_argv, read_environ, read_file
from puffer_core.config.texts import to_json
from puffer_core.config.words import show
from puffer_core.errors import UsageError
from puffer_core.plan import Component, RunOptions, RunPlan, SeedOptions, VectorConfig
from puffer_core.plugins import PluginHost

_TYPED = Origin("flag")
"""Of the source that stands in the command without a flag."""
_RECORDED = Origin("file", "config.json")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def resolve(
    host: PluginHost,
    trainer: str,
    source: str | None = None,
    *,
    argv: Sequence[str] = (),
    overrides: Mapping[str, Any] = _NOTHING,
    file: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> RunPlan:
    """Decide everything about a run, or say what is wrong with what was asked for.

    Each of these overrides the one before: defaults of the components' models; `file`; variables `PUFFER_*`; flags;
    `source` and `overrides`. Settings for a policy, backend or env that a later one replaces by another are dropped.

    Args:
        host: knows what is installed.
        trainer: name of the trainer.
        source: env id or dataset; may stand in `argv` or any other place instead.
        argv: the arguments after the trainer's name: flags, and the source.
        overrides: nested settings, as in a TOML file.
        file: a TOML file, or JSON where its name ends so; `puffer.toml` in the working directory, if there, for None.
            `--config` in `argv` goes before it.
        environ: where `PUFFER_*` variables are looked up.

    Raises:
        UsageError: something is unknown or does not fit: says where, what was got, what was expected.
        PluginError: a component cannot be used.

    Example:
        >>> from puffer_core.plugins import PluginHost
        >>> host = PluginHost.discover()
        >>> resolve(host, "ppo", "cartpole", argv=["--seed", "-1"])  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        puffer_core.errors.UsageError: --seed: got -1, expected an integer >= 0 and < 2**63
        `puffer train ppo --help` lists the options.
    """
    named, given = _given(source, argv, overrides)
    layers = [read_file(file if named is None else named), read_environ(environ), *given]
    return _plan_from(host, trainer, layers)


def plan_of(
    host: PluginHost,
    tree: Mapping[str, Any],
    source: str | None = None,
    *,
    argv: Sequence[str] = (),
    overrides: Mapping[str, Any] = _NOTHING,
) -> RunPlan:
    """The plan that a `config.json` was written from, with what `argv` and the rest change in it.

    `puffer.toml` and variables of the environment play no part; a file that `--config` in `argv` names does.

    Args:
        host: knows what is installed.
        tree: `RunPlan.tree`, as the file has it.
        source: env id or dataset, as in `resolve`.
        argv: flags, as in `resolve`.
        overrides: nested settings, likewise.

    Raises:
        UsageError: it is not of this form, or names components that are not installed or have other options now.
        PluginError: a component cannot be used.
    """
    trainer = tree.get("trainer")
    if not isinstance(trainer, str):
        raise UsageError(f"trainer: got {show(trainer)}, expected the name of a trainer")
    file, given = _given(source, argv, overrides)
    recorded = Layer(_RECORDED, data=read_arguments(tree).data)
    layers = [recorded, *([read_file(file)] if file is not None else []), *given]
    return _plan_from(host, trainer, layers)


def _given(source: str | None, argv: Sequence[str], overrides: Mapping[str, Any]) -> tuple[str | None, list[Layer]]:
    """The file that `--config` names, and what a call sets, lowest first; the last is the source without a key."""
    leading, flags = read_argv(argv)
    given = {text.name: text for text in flags.texts}
    texts = tuple(text for text in flags.texts if text.name != "config")
    if "config" in given and not given["config"].first:
        raise UsageError("--config: got nothing, expected the path of a TOML file")
    leading += [token for text in flags.texts if text.name == "config" for token in text.tokens[text.value is None :]]
    if len(leading) > 1:
        raise UsageError(f"unexpected argument {leading[1]!r} after {leading[0]!r}")
    for text in texts:
        if leading and text.name in ("env", "env.name", "source"):
            raise UsageError(f"{text.origin.place}: got {text.first!r} beside {leading[0]!r}, expected one of them")
    top = {"source": source or next(iter(leading), "")}
    layers = [
        Layer(flags.origin, texts=texts),
        read_arguments(overrides),
        Layer(_TYPED, data=top if top["source"] else {}),
    ]
    return given["config"].first if "config" in given else None, layers


def _plan_from(host: PluginHost, trainer: str, layers: list[Layer]) -> RunPlan:
    parts = find_parts(host, trainer, layers)
    if not parts.source.name:
        raise source_missing(host, parts.trainer_spec)
    settings = collect(layers, parts.root, parts.stale())
    _check_surplus(settings, parts)
    for variable in settings.strangers:
        print(f"warning: {variable} is no option of this run, and is ignored", file=sys.stderr)  # noqa: T201
    return _plan(trainer, parts, settings)


def _check_surplus(settings: Settings, parts: Parts) -> None:
    """Every argument must have been used; one of those behind flags may be the source."""
    surplus = list(settings.surplus)
    source = next((item for item in surplus if item[0] == parts.source.name and parts.source.origin == _TYPED), None)
    if source:
        surplus.remove(source)
    settings.problems += [f"unexpected argument {token!r} after {flag}" for token, flag in surplus]


def _plan(trainer: str, parts: Parts, settings: Settings) -> RunPlan:
    """Build every component's config; all that is wrong is said at once."""
    for key in [("trainer",), ("source",), *((kind, "name") for kind in NAMED)]:
        settings.values.pop(key, None)
    made = {kind: _made(chosen, key, settings) for kind, key, chosen in parts.each()}
    loggers = {name: _made(chosen, ("logger", name), settings) for name, chosen in parts.loggers.items()}
    values, problems = settings.values, settings.problems
    options = build(RunOptions, section_of(RunOptions), values, problems, "this run")
    several = build(SeedOptions, section_of(SeedOptions), values, problems, "several seeds")
    vector = build(VectorConfig, section_of(VectorConfig, ("vector",)), values, problems, "vector envs")
    if problems or options is None or several is None or vector is None:
        remedy = f"`puffer train {trainer} --help` lists the options."
        raise UsageError("\n".join(dict.fromkeys(problems)), remedy=remedy)
    tree = {"trainer": trainer, "source": parts.source.name, **dump(options), **made["trainer"].tree}
    tree["policy"] = {"name": parts.policy.named.name, **made["policy"].tree}
    tree["backend"] = {"name": parts.backend.named.name, **made["backend"].tree}
    tree |= {"env": made["env"].tree, "vector": dump(vector)} if parts.env else {}
    tree["logger"] = {name: logger.tree for name, logger in loggers.items()}
    return RunPlan(
        trainer=made["trainer"].component,
        source=parts.source.name,
        env=made["env"].component if parts.env else None,
        policy=made["policy"].component,
        backend=made["backend"].component,
        loggers={name: logger.component for name, logger in loggers.items()},
        vector=vector,
        options=options,
        tree=tree,
        several=several,
    )


class _Made(NamedTuple):
    component: Component
    tree: dict[str, Any]


def _made(chosen: Chosen, key: Key, settings: Settings) -> _Made:
    """A component with its config: a model, or a dict where it has none; an env's options are a dict always."""
    section = component_section(chosen, key)
    config: Any
    if chosen.model is None:
        config = (
            {name[-1]: setting.value for name, setting in settings.values.items() if name[:-1] == key} if key else {}
        )
        tree = to_json(config)
    else:
        config = build(chosen.model, section, settings.values, settings.problems, chosen.provided.label)
        tree = dump(config) if config is not None else {}
        if chosen.spec.KIND == "env" and config is not None:
            config = {name: getattr(config, name) for name in tree}
    provided = chosen.provided
    return _Made(Component(chosen.spec, provided.distribution, provided.version, config), tree)
