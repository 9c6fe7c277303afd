"""`puffer train TRAINER [SOURCE] [options]`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from puffer_core.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from puffer_core.plugins import PluginHost

_HELP = ("-h", "--help")
USAGE = """usage: puffer train TRAINER [SOURCE] [options]

Train, evaluate what was learned, and keep it in a directory under runs/. SOURCE is what the trainer learns from:
an env (see `puffer envs`), or a dataset.
"""


def run_train(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer train`.

    Returns:
        The exit code: 0, or 2 where nothing was asked for.

    Raises:
        PufferError: as configuration and training do.
    """
    if not argv or argv[0] in _HELP:
        print(usage(host), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    trainer, *rest = argv
    if trainer.startswith("-"):
        names = [item.spec.name for item in host.provided("trainer")]
        raise UsageError(
            f"puffer train: got {trainer!r}, expected the name of a trainer first",
            remedy=f"Options come after it. {did_you_mean('', names)}",
        )
    if set(_HELP) & set(rest):
        from puffer_core.config.help import trainer_help

        print(trainer_help(host, trainer, rest), end="")  # noqa: T201
        return 0
    _train(trainer, rest, host)
    return 0


def usage(host: PluginHost) -> str:
    """How to call the command, which trainers there are, and an example."""
    trainers = [item.spec for item in host.provided("trainer")]
    envs = [item.spec.name for item in host.provided("env")]
    width = max((len(spec.name) for spec in trainers), default=0)
    listing = [f"  {spec.name:<{width}}  {spec.summary}" for spec in trainers]
    known = "\n".join(["trainers:", *listing]) if listing else "No trainer is installed: pip install puffer-ppo"
    name, env = trainers[0].name if trainers else "ppo", "cartpole" if "cartpole" in envs or not envs else envs[0]
    example = f"example:\n  puffer train {name} {env}\n\n`puffer train {name} --help` lists the options of {name}."
    return f"{USAGE}\n{known}\n\n{example}"


def _train(trainer: str, argv: list[str], host: PluginHost) -> None:
    from puffer_core.config import resolve

    plan = resolve(host, trainer, argv=argv)  # before the run loop is imported: a mistake is answered at once
    if plan.several.seeds:
        from puffer_core.seeds import train_plan

        train_plan(plan, host)
        return
    from puffer_core.console.run import make_display
    from puffer_core.run.resume import begin

    begin(plan, host, argv=argv, display=make_display(quiet=plan.options.quiet))
