"""`puffer report RUN... [--output FILE] [--open]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from puffer_core.cli.output import size_text
from puffer_core.cli.parser import Parser


def main(argv: Sequence[str]) -> int:
    """Write the report and say where it is. `argv` is what stands after `puffer report`.

    Returns:
        The exit code, 0.

    Raises:
        UsageError: no run is named, or an option is unknown.
        CheckpointError: one of them is not a run.
        ResourceError: the page cannot be written.
    """
    arguments = _parser().parse(argv)
    from puffer_report.report import write_report  # plotly costs half a second, and only a report needs it

    written = write_report([Path(run) for run in arguments.runs], Path(arguments.output))
    for warning in written.warnings:
        print(warning, file=sys.stderr)  # noqa: T201
    sizes = f"{size_text(written.bytes)}, of which plotly.js is {size_text(written.script_bytes)}"
    print(f"report     {written.path} ({sizes})")  # noqa: T201
    if arguments.open:
        import webbrowser

        webbrowser.open(written.path.absolute().as_uri())
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="puffer report",
        description="Write one HTML page about runs: learning curves, time, hyperparameters, evaluations, a film. "
        "Runs that differ in their seed alone are drawn as one, with their spread.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="directory of a run, or one with several runs in it")
    parser.add_argument("--output", default="report.html", metavar="FILE", help="the page (default: report.html)")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    return parser
