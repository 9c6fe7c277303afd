"""From installed distributions to records: each plugin is blocked, judged, or imported and registered."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace

import importlib_metadata
import pluggy

from puffer_core.hookspecs import ENTRY_POINT_GROUP
from puffer_core.plugins.blocking import Blocking
from puffer_core.plugins.faults import describe, one_line, trace
from puffer_core.plugins.installed import Installed, installed_plugins
from puffer_core.plugins.loading import HookManager, load
from puffer_core.plugins.records import CORE, KINDS, RESERVED_COMMANDS, PluginRecord, Provided, Status
from puffer_core.plugins.requirements import unmet
from puffer_core.specs import Spec


def admit(manager: HookManager, blocking: Blocking) -> tuple[list[PluginRecord], list[Provided]]:
    """Register every installed plugin that is neither blocked nor unfit. The core comes first."""
    plugins = {plugin.name: plugin for plugin in installed_plugins(sys.path)}
    core = plugins.setdefault(CORE, _uninstalled_core())
    records, provided = [], []
    for plugin in sorted(plugins.values(), key=lambda plugin: (plugin is not core, plugin.name)):
        record, specs = _admit_one(manager, plugin, blocking, core.version)
        records.append(record)
        provided += [Provided(spec, record.name, record.version) for spec in specs]
    return sorted(records, key=lambda record: record.name), provided


def mark_conflicts(records: list[PluginRecord], provided: list[Provided]) -> tuple[PluginRecord, ...]:
    """The records, where those that provide a name which somebody else provides too say so."""
    providers = defaultdict(list)
    for item in provided:
        providers[item.spec.KIND, item.spec.name].append(item.distribution)
    for name in RESERVED_COMMANDS:
        if ("command", name) in providers:
            providers["command", name].append(CORE)
    reasons = defaultdict(list)
    for (kind, name), names in providers.items():
        for distribution in set(names) - ({CORE} if kind == "command" else set()):
            others = sorted(set(names) - {distribution})
            if others:
                whose = " and ".join(others)
                reasons[distribution].append(f"{kind} {name} is provided by {whose} too: use {name}@{distribution}")
    return tuple(
        replace(record, status="conflict", reason="; ".join(reasons[record.name])) if record.name in reasons else record
        for record in records
    )


def _uninstalled_core() -> Installed:
    """The core's own plugin, for a core that is on the path without being installed."""
    entry_point = importlib_metadata.EntryPoint("core", "puffer_core.plugin", ENTRY_POINT_GROUP)
    return Installed(name=CORE, version="", entry_points=(entry_point,))


def _admit_one(
    manager: HookManager, plugin: Installed, blocking: Blocking, core_version: str
) -> tuple[PluginRecord, list[Spec]]:
    def rejected(status: Status, reason: str, detail: str = "") -> tuple[PluginRecord, list[Spec]]:
        return replace(record, status=status, reason=reason, detail=detail), []

    record = PluginRecord(
        name=plugin.name,
        version=plugin.version,
        status="ok",
        module=one_line(", ".join(entry_point.value for entry_point in plugin.entry_points)),
        summary=plugin.summary,
        requires=plugin.requires,
        entries=tuple(entry_point.name for entry_point in plugin.entry_points),
    )
    if why := blocking.reason(plugin.name):
        return rejected("disabled", why)
    if plugin.fault:
        return rejected("broken", plugin.fault)
    if requirement := unmet(plugin.requires, CORE, core_version):
        return rejected("incompatible", f"it requires {requirement}, and puffer-core {core_version} is installed")
    try:
        hooks, specs = load(manager, plugin)
    except KeyboardInterrupt:
        raise
    except pluggy.PluginValidationError as error:
        return rejected("incompatible", one_line(str(error)), trace(error))
    except BaseException as error:  # noqa: BLE001 - SystemExit at import is one of the things that happen
        return rejected("broken", describe(error), trace(error))
    names = {kind: sorted(spec.name for spec in specs[kind]) for kind in KINDS if specs.get(kind)}
    return replace(record, hooks=hooks, provides=names), [spec for kind in specs.values() for spec in kind]
