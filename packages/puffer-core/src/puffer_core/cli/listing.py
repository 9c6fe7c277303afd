"""`puffer envs | policies | trainers | backends | loggers`: what is installed, and who provides it."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from puffer_core.cli.output import print_json, print_table
from puffer_core.plugins import FIRST_PARTY, PluginHost, Provided
from puffer_core.plugins.faults import one_line

KINDS = {"envs": "env", "policies": "policy", "trainers": "trainer", "backends": "backend", "loggers": "logger"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a listing."""
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(arguments: argparse.Namespace, host: PluginHost) -> int:
    """Print the components of the kind that `arguments.command` names."""
    provided = host.provided(KINDS[arguments.command])
    if arguments.json:
        print_json([as_json(item) for item in provided])
        return 0
    print_table(["NAME", "PROVIDER", "CAPABILITIES", "SUMMARY"], _rows(provided))
    if arguments.command == "envs":
        print()  # noqa: T201
        print_table(["FAMILIES OF MORE", "PROVIDER"], _families(host))
    return 0


def _families(host: PluginHost) -> list[list[str]]:
    """What plugins know beside the envs that they list, and packages of ours that would know more."""
    rows = [[one_line(text).rstrip("."), f"{record.name} {record.version}"] for record, text in host.families()]
    missing = sorted(name for name in FIRST_PARTY - {record.name for record in host.records} if "-env-" in name)
    return rows + [[f"more with: pip install {name}", "-"] for name in missing]


def as_json(item: Provided) -> dict[str, Any]:
    """A component as JSON values."""
    return {
        "name": item.spec.name,
        "summary": item.spec.summary,
        "distribution": item.distribution,
        "version": item.version,
        "capabilities": sorted(item.spec.capabilities),
        "backends": sorted(item.spec.backends),
        "target": item.spec.target,
        "config": item.spec.config,
    }


def _rows(provided: list[Provided]) -> list[list[str]]:
    """One row a component, called as it must be typed: with its distribution where two share the name."""
    count = Counter(item.spec.name for item in provided)
    return [
        [
            item.spec.name if count[item.spec.name] == 1 else f"{item.spec.name}@{item.distribution}",
            item.provider,
            ", ".join(sorted(item.spec.capabilities)) or "-",
            one_line(item.spec.summary),
        ]
        for item in provided
    ]
