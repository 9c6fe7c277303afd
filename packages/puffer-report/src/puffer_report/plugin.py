"""What this distribution registers: the command `report`."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_core import CommandSpec, hookimpl


@hookimpl
def puffer_commands() -> Sequence[CommandSpec]:
    """The command `report`."""
    return [
        CommandSpec(
            name="report",
            summary="write one HTML page about runs: puffer report RUN...",
            target="puffer_report.command:main",
        )
    ]
