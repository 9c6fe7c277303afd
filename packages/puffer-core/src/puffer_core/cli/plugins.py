"""`puffer plugins list | show NAME`: what is installed, what became of it, and why."""

from __future__ import annotations

import argparse

from puffer_core.cli.listing import as_json
from puffer_core.cli.output import print_json, print_table
from puffer_core.errors import UsageError, did_you_mean
from puffer_core.plugins import KINDS, PluginHost, PluginRecord, Provided
from puffer_core.plugins.faults import one_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `puffer plugins`."""
    parser.add_argument("action", nargs="?", default="list", help="list (default), or show")
    parser.add_argument("name", nargs="?", help="for show: the plugin's distribution, such as puffer-ppo")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, host: PluginHost) -> int:
    """Print the list, or one plugin.

    Raises:
        UsageError: there is no such action or plugin.
    """
    if arguments.action == "list":
        if arguments.name:
            raise UsageError(
                f"puffer plugins list takes no name, got {arguments.name!r}",
                remedy=f"To see one plugin: puffer plugins show {arguments.name}",
            )
        _list(host, as_object=arguments.json)
    elif arguments.action == "show":
        if not arguments.name:
            raise UsageError("puffer plugins show: no plugin is named", remedy="`puffer plugins list` has their names.")
        _show(host, host.record(arguments.name), as_object=arguments.json)
    else:
        raise UsageError(
            f"unknown action {arguments.action!r} of puffer plugins",
            remedy=did_you_mean(arguments.action, ["list", "show"]),
        )
    return 0


def _list(host: PluginHost, *, as_object: bool) -> None:
    if as_object:
        print_json(host.describe())
        return
    rows = [[record.name, record.version or "-", record.status, _explain(record)] for record in host.records]
    print_table(["NAME", "VERSION", "STATUS", "PROVIDES"], rows)


def _explain(record: PluginRecord) -> str:
    """What a plugin provides, and why it does not, or not quite."""
    provides = "; ".join(f"{kind} {', '.join(names)}" for kind, names in record.provides.items())
    if record.reason and provides:
        return f"{provides} ({record.reason})"
    return record.reason or provides or ", ".join(record.hooks)


def _show(host: PluginHost, record: PluginRecord, *, as_object: bool) -> None:
    components = [item for kind in KINDS for item in host.provided(kind) if item.distribution == record.name]
    if as_object:
        fields = ("name", "version", "status", "reason", "summary", "module", "hooks", "requires", "detail")
        described = {field: getattr(record, field) for field in fields}
        print_json(described | {"components": [{"kind": item.spec.KIND} | as_json(item) for item in components]})
        return
    lines = [
        f"{record.name} {record.version or '-'}: {record.status}",
        *([record.reason] if record.reason else []),
        f"  summary   {record.summary or '-'}",
        f"  module    {record.module or '-'}",
        f"  hooks     {', '.join(record.hooks) or '-'}",
        f"  requires  {', '.join(record.requires) or '-'}",
    ]
    for item in components:
        lines += _component(item)
    if record.detail:
        lines += ["", record.detail.rstrip()]
    print("\n".join(lines))  # noqa: T201


def _component(item: Provided) -> list[str]:
    spec = item.spec
    return [
        "",
        f"{spec.KIND} {spec.name}: {one_line(spec.summary)}",
        f"  target        {spec.target}",
        f"  config        {spec.config or '-'}",
        f"  backends      {', '.join(sorted(spec.backends)) or 'all'}",
        f"  capabilities  {', '.join(sorted(spec.capabilities)) or '-'}",
    ]
