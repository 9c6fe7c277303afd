"""`puffer envs`: what there is. `puffer envs check ENV`: whether an env keeps the promises of one.

The checks are puffer-testing's, which the core does not know: it is named by a string, as every component is, and need
not be installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import TYPE_CHECKING

from puffer_core.cli import listing
from puffer_core.cli.parser import Parser
from puffer_core.errors import PluginError
from puffer_core.specs import import_target

if TYPE_CHECKING:
    from puffer_core.plugins import PluginHost

CHECKS = "puffer_testing.checking:run_check"
"""Called as `(argv, host)`; gives the exit code."""


def run_envs(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer envs`.

    Returns:
        The exit code: 0, or 5 where an env breaks a promise.

    Raises:
        PufferError: a mistake in the arguments, an env that cannot be found, or puffer-testing is missing.
    """
    if argv[:1] == ["check"]:
        return _check(argv[1:], host)
    parser = Parser(
        prog="puffer envs",
        description="List the environments.",
        epilog="puffer envs check ENV: does an environment keep its promises?",
    )
    listing.add_arguments(parser)
    return listing.run(parser.parse(argv, argparse.Namespace(command="envs")), host)


def _check(argv: list[str], host: PluginHost) -> int:
    package = CHECKS.partition(".")[0]
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        raise PluginError("puffer envs check: puffer-testing is not installed", remedy="pip install puffer-testing")
    return int(import_target(CHECKS)(argv, host))
