"""`puffer resume RUN [options]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from puffer_core.errors import UsageError

if TYPE_CHECKING:
    from puffer_core.plan import RunPlan
    from puffer_core.plugins import PluginHost
    from puffer_core.run.display import Display

_HELP = ("-h", "--help")
USAGE = "puffer resume RUN [options]"
_ABOUT = """Go on with a run from its last sound checkpoint, to its end. Its own config.json decides; puffer.toml and
variables play no part. These options may change, and stay so; everything else is as the run was started with, or a new
run. What was changed is kept in the run's resumes.jsonl. Of several seeds all go on that are not finished."""


def run_resume(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer resume`.

    Returns:
        The exit code: 0, or 2 where no run was named.

    Raises:
        PufferError: as `run.resume.resume` does.
    """
    if not argv or set(_HELP) & set(argv):
        print(resume_help(), end="", file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    run, *rest = argv
    if run.startswith("-"):
        raise UsageError(f"puffer resume: got {run!r}, expected the directory of a run first", remedy=f"usage: {USAGE}")
    from puffer_core.run.seed_directories import holds_seeds

    if holds_seeds(Path(run)):
        from puffer_core.seeds import resume_seeds

        resume_seeds(run, host, rest)
        return 0
    from puffer_core.run.resume import resume

    resume(Path(run), host, argv=rest, display=_display)
    return 0


def _display(plan: RunPlan) -> Display:
    from puffer_core.console.run import make_display

    return make_display(quiet=plan.options.quiet)


def resume_help() -> str:
    """What `puffer resume --help` prints: the options that may change.

    Example:
        >>> "--total-steps" in resume_help(), "--seed" in resume_help()
        (True, False)
    """
    import argparse
    from dataclasses import replace

    from puffer_core.config.help import add_options
    from puffer_core.config.schema import section_of
    from puffer_core.plan import RunOptions, VectorConfig
    from puffer_core.run.changes import may_change

    parser = argparse.ArgumentParser(prog="puffer resume", usage=USAGE, description=_ABOUT, add_help=False)
    for title, section in (("run", section_of(RunOptions)), ("vector", section_of(VectorConfig, ("vector",)))):
        allowed = [option for option in section.options() if may_change(".".join(option.key))]
        group = parser.add_argument_group(title)
        add_options(group, [replace(option, default="as in the run") for option in allowed])
        if title == "run":
            group.add_argument("-h", "--help", action="help", help="Show this help.")
    engine = parser.add_argument_group("backend")
    engine.add_argument("--backend", metavar="NAME", help="The engine instead; the run goes on, but not bit for bit")
    engine.add_argument("--backend.KEY", metavar="VALUE", help="An option of it, such as its device.")
    loggers = parser.add_argument_group("loggers")
    loggers.add_argument("--logger", metavar="NAME", help="Where metrics go instead, beside metrics.jsonl; repeatable")
    loggers.add_argument("--logger.NAME.KEY", metavar="VALUE", help="An option of such a logger.")
    return parser.format_help()
