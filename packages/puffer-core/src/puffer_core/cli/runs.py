"""`puffer runs [DIR]`: the runs there are, what each reached, and how it stands."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from puffer_core.cli.output import print_json, print_table, size_text
from puffer_core.plugins import PluginHost

if TYPE_CHECKING:
    from puffer_core.run.overview import Overview


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `puffer runs`."""
    parser.add_argument("directory", nargs="?", default="runs", metavar="DIR", help="where they are (default: runs)")
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(arguments: argparse.Namespace, host: PluginHost) -> int:  # noqa: ARG001  no plugin is asked
    """Print the runs, newest first.

    Raises:
        CheckpointError: there is no such directory.
    """
    from puffer_core.run.overview import runs

    directory = Path(arguments.directory)
    found = runs(directory)
    if arguments.json:
        print_json([_as_json(item, directory) for item in found])
        return 0
    if not found:
        print(f"{directory}: no run in it, nor one level further down", file=sys.stderr)  # noqa: T201
        return 0
    header = ["RUN", "ENV", "TRAINER", "SEED", "STEPS", "BEST", "LAST", "STATUS", "SIZE", "AGE", ""]
    print_table(header, [_row(item, directory) for item in found])
    return 0


def _as_json(found: Overview, directory: Path) -> dict[str, object]:
    began = datetime.fromtimestamp(found.began).astimezone().isoformat(timespec="seconds")
    fields = dataclasses.asdict(found) | {"path": str(found.path), "began": began}
    return {"name": _name(found, directory)} | fields


def _row(found: Overview, directory: Path) -> list[str]:
    total = f" of {found.total_steps:,}" if found.total_steps is not None else ""
    return [
        _name(found, directory),
        found.env or "-",
        found.trainer or "-",
        "-" if found.seed is None else str(found.seed),
        f"{found.step:,}{total}",
        _number(found.best_return),
        _number(found.last_return),
        found.status,
        size_text(found.bytes),
        age_text(time.time() - found.began),
        found.reason,
    ]


def _name(found: Overview, directory: Path) -> str:
    return found.path.resolve().name if found.path == directory else str(found.path.relative_to(directory))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def age_text(seconds: float) -> str:
    """An age in its largest unit.

    Example:
        >>> age_text(59), age_text(3_700), age_text(200_000)
        ('59 s', '1 h', '2 d')
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
