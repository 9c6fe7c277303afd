"""Importing one plugin and taking what it registers, so that nothing it does reaches the others."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pluggy

from puffer_core import hookspecs
from puffer_core.errors import did_you_mean
from puffer_core.plugins.installed import Installed
from puffer_core.plugins.records import KINDS
from puffer_core.specs import Spec

HOOKS = tuple(sorted(name for name in vars(hookspecs) if name.startswith("puffer_")))
"""Names of all hooks."""


class HookManager(pluggy.PluginManager):
    """pluggy's manager, stricter: a misspelt, unmarked or wrapping hook is an error, never silently without effect.

    A hook is a function named `puffer_*`; nothing else of a plugin is looked at, which also makes registration cheap.
    """

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Options of the hook implementation `name` of `plugin`, None where it is none."""
        if not name.startswith("puffer_"):
            return None
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None:
            if name in HOOKS:
                raise pluggy.PluginValidationError(plugin, f"{name} is not marked: decorate it with @hookimpl")
            return None
        hook = options["specname"] or name
        if hook not in HOOKS and not options["optionalhook"]:
            message = f"{hook} is no hook of this puffer-core. {did_you_mean(hook, HOOKS)}"
            raise pluggy.PluginValidationError(plugin, message)
        if options["wrapper"] or options["hookwrapper"]:
            raise pluggy.PluginValidationError(plugin, f"{name} is a wrapper: hooks of Puffer are not wrapped")
        return options

    def implementations(self, plugin_name: str) -> dict[str, pluggy.HookImpl]:
        """The registered implementations of one plugin, by name of the hook."""
        found = {}
        for hook in HOOKS:
            for implementation in getattr(self.hook, hook).get_hookimpls():
                if implementation.plugin_name == plugin_name:
                    found[hook] = implementation
        return found


@contextmanager
def guarded() -> Iterator[None]:
    """Run a plugin's code without letting it write to our stdout (which may be parsed) or replace builtins.

    Raises:
        RuntimeError: the code replaced builtins; they have been put back.
    """
    current = vars(builtins)
    before = dict(current)
    with redirect_stdout(sys.stderr):
        try:
            yield
        finally:  # uses no builtin: it may be the one that is gone
            replaced = [name for name, value in before.items() if current.get(name, before) is not value]
            for name in replaced:
                current[name] = before[name]
    if replaced:
        raise RuntimeError(f"it replaced builtins: {', '.join(sorted(replaced))}")


def load(manager: HookManager, installed: Installed) -> tuple[tuple[str, ...], dict[str, list[Spec]]]:
    """Import and register every entry point of one distribution.

    Returns:
        The hooks it implements, and the specs it provides by kind.

    Raises:
        pluggy.PluginValidationError: its hooks do not fit the hookspecs.
        BaseException: whatever the plugin raises; nothing of it stays registered.
    """
    hooks: set[str] = set()
    specs: dict[str, list[Spec]] = {}
    names: list[str] = []
    try:
        for entry_point in installed.entry_points:
            names.append(f"{installed.name}:{entry_point.name}")
            with guarded():
                plugin = entry_point.load()
            manager.register(plugin, name=names[-1])
            implementations = manager.implementations(names[-1])
            if not implementations:
                raise TypeError(f"{entry_point.value} implements no hook: mark its functions with @hookimpl")
            for kind, registered in _registered(implementations).items():
                specs.setdefault(kind, []).extend(registered)
            hooks.update(implementations)
        _check_unique(specs)
    except BaseException:
        for name in filter(manager.has_plugin, names):
            manager.unregister(name=name)
        raise
    return tuple(sorted(hooks)), specs


def _registered(implementations: Mapping[str, pluggy.HookImpl]) -> dict[str, list[Spec]]:
    """What the registration hooks among `implementations` return, checked, by kind."""
    specs = {}
    for kind, (hook, wanted) in KINDS.items():
        if hook not in implementations:
            continue
        with guarded():
            result = implementations[hook].function()
        if not isinstance(result, list | tuple):
            raise TypeError(f"{hook} returned {type(result).__name__}, expected a list of {wanted.__name__}")
        for spec in result:
            if not isinstance(spec, wanted):
                raise TypeError(f"{hook} returned a {type(spec).__name__}, expected only {wanted.__name__}")
            if not all(isinstance(text, str) for text in (spec.summary, *spec.backends)):
                raise TypeError(f"{hook}: summary and backends of {spec.name} must be text")
        specs[kind] = list(result)
    return specs


def _check_unique(specs: Mapping[str, list[Spec]]) -> None:
    for kind, registered in specs.items():
        names = [spec.name for spec in registered]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"it provides {kind} {name} twice")
