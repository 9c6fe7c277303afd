"""The `puffer` command: options that come before every command, the commands, and what an error looks like.

Only argparse, pluggy and importlib-metadata are imported here; a command's own module is imported when it runs.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from puffer_core.cli.parser import Parser
from puffer_core.cli.process import output_is_gone, stdout_on_stderr
from puffer_core.errors import PluginError, PufferError, ResourceError, UsageError, did_you_mean
from puffer_core.plugins import PluginHost
from puffer_core.plugins.faults import describe, one_line
from puffer_core.specs import import_target

COMMANDS = {
    "train": ("puffer_core.cli.train:run_train", "train: puffer train TRAINER [SOURCE] [options]"),
    "resume": ("puffer_core.cli.resume:run_resume", "go on with a run where it was saved last: puffer resume RUN"),
    "eval": ("puffer_core.cli.evaluate:run_eval", "evaluate what a run learned: puffer eval RUN"),
    "export": ("puffer_core.cli.export:run_export", "write what a run learned as a file: puffer export RUN"),
    "bench": ("puffer_core.cli.bench:run_bench", "measure how fast an env is stepped in each mode: puffer bench ENV"),
    "checkpoints": (
        "puffer_core.cli.checkpoints:run_checkpoints",
        "list, verify, inspect or prune what a run saved: puffer checkpoints list RUN",
    ),
    "runs": ("puffer_core.cli.runs", "list the runs below a directory: puffer runs"),
    "envs": ("puffer_core.cli.envs:run_envs", "list the environments, or check one: puffer envs check ENV"),
    "policies": ("puffer_core.cli.listing", "list the policies"),
    "trainers": ("puffer_core.cli.listing", "list the trainers"),
    "backends": ("puffer_core.cli.listing", "list the backends"),
    "loggers": ("puffer_core.cli.listing", "list the loggers"),
    "plugins": ("puffer_core.cli.plugins", "list the installed plugins, or show one: puffer plugins show NAME"),
}
"""The core's subcommands: target and summary of each.

A module has `add_arguments(parser)` and `run(arguments, host) -> int`. A `"module:function"` is called with the
arguments unparsed and the host: what its options are depends on the plugins it is about.
"""


def main(argv: Sequence[str]) -> int:
    """Run one command and give its exit code: 0, or that of the error, which is printed on stderr.

    Raises:
        BrokenPipeError: nobody reads our output any more; for `as_process` to end quietly.

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        puffer ...
        0
    """
    debug = False
    command = ""
    try:
        options = _parser().parse(argv)
        debug, command = options.debug, options.command or ""
        return _run(options)
    except SystemExit as end:  # argparse's --help, or a command that means it
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except PufferError as error:
        _print_error(error, error.message, error.remedy, debug=debug)
        return error.exit_code
    except Exception as error:
        if isinstance(error, BrokenPipeError) and output_is_gone():
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _print_error(error, describe(error), "Free some space, or write elsewhere.", debug=debug)
            return ResourceError.exit_code
        if isinstance(error, PermissionError) and error.filename is not None and not hasattr(error, "crash_report"):
            remedy = "Ask its owner for access, or name a copy that is yours."
            _print_error(error, f"{error.filename}: {error.strerror}", remedy, debug=debug)
            return ResourceError.exit_code
        report = getattr(error, "crash_report", "")  # of a run that was going on
        more = (
            f"its traceback and surroundings are in {report}"
            if report
            else f"`puffer --debug {command} ...` shows the traceback"
        )
        remedy = f"A bug in Puffer or in a plugin: {more}."
        _print_error(error, f"internal error: {describe(error)}", remedy, debug=debug)
        return 1


def _parser() -> Parser:
    parser = Parser(
        prog="puffer",
        usage="puffer [options] COMMAND ...",
        description="Reinforcement learning composed from plugins.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this help; after a command, its help")
    parser.add_argument("--version", action="store_true", help="show the version of puffer-core")
    parser.add_argument(
        "-p", dest="blocked", action="append", default=[], type=_blocked, metavar="no:NAME",
        help="do not load the plugin of this distribution; repeatable",
    )  # fmt: skip
    parser.add_argument("--no-plugins", action="store_true", help="load Puffer's own plugins only")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _blocked(value: str) -> str:
    prefix, colon, name = value.partition(":")
    if prefix != "no" or not colon or not name:
        raise argparse.ArgumentTypeError(f"got {value!r}, expected no:NAME with the name of a distribution")
    return name


def _run(options: argparse.Namespace) -> int:
    if options.version:
        from puffer_core.plugins.installed import core_version

        print(f"puffer {core_version() or 'unknown'}")  # noqa: T201
        return 0
    with stdout_on_stderr():
        host = PluginHost.discover(blocked=options.blocked, third_party=not options.no_plugins)
    for name in options.blocked:
        host.record(name)  # a misspelt name would block nothing, and nobody would notice
    if options.help or not options.command:
        parser = _parser()
        parser.epilog = _command_help(host)
        parser.print_help()
        return 0
    return _dispatch(options.command, options.arguments, host)


def _dispatch(name: str, argv: list[str], host: PluginHost) -> int:
    if name not in COMMANDS:
        return _run_plugin_command(name, argv, host)
    target, summary = COMMANDS[name]
    if ":" in target:
        return int(import_target(target)(argv, host))
    module = importlib.import_module(target)
    parser = Parser(prog=f"puffer {name}", description=summary)
    module.add_arguments(parser)
    return int(module.run(parser.parse(argv, argparse.Namespace(command=name)), host))


def _run_plugin_command(name: str, argv: list[str], host: PluginHost) -> int:
    try:
        provided = host.find("command", name)
    except UsageError:
        _unknown_command(name, host)
    command = host.load(provided)
    try:
        return int(command(argv) or 0)
    except (PufferError, OSError):
        raise
    except Exception as error:
        raise PluginError(
            f"{provided.label} failed: {describe(error)}",
            remedy=f"A bug in the plugin: `puffer --debug {name} ...` shows the traceback.",
        ) from error


def _unknown_command(name: str, host: PluginHost) -> NoReturn:
    known = [*COMMANDS, *(item.spec.name for item in host.provided("command"))]
    raise UsageError(f"unknown command {name!r}", remedy=did_you_mean(name, known)) from None


def _command_help(host: PluginHost) -> str:
    """The list of commands, those of plugins with their provider."""
    lines = [(name, summary) for name, (_, summary) in COMMANDS.items()]
    for item in host.provided("command"):
        name = item.spec.name if item.spec.name not in COMMANDS else f"{item.spec.name}@{item.distribution}"
        lines.append((name, f"{one_line(item.spec.summary)} ({item.provider})"))
    width = max(len(name) for name, _ in lines)
    return "commands:\n" + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in lines)


def _print_error(error: BaseException, message: str, remedy: str, *, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exception(error)
    prefix = error.prefix if isinstance(error, PufferError) else PufferError.prefix
    print(f"{prefix}{message}", file=sys.stderr)  # noqa: T201
    if remedy:
        print(remedy, file=sys.stderr)  # noqa: T201
