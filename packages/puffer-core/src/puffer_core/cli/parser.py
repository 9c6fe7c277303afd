"""argparse with our manners: an error is a UsageError, and an unknown option is told its nearest names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from puffer_core.errors import UsageError, did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser of one command's arguments. Flat: it has no subparsers and takes no abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        self._options: list[str] = []
        super().__init__(allow_abbrev=False, **settings)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an argument and remember what it is called."""
        self._options += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **settings)

    def parse(self, argv: Sequence[str], namespace: argparse.Namespace | None = None) -> argparse.Namespace:
        """Parse everything in `argv`.

        Raises:
            UsageError: an argument is unknown, missing or malformed.
        """
        parsed, extra = self.parse_known_args(argv, namespace or argparse.Namespace())
        if not extra:
            return parsed
        name = extra[0].partition("=")[0]
        if name.startswith("-"):
            raise UsageError(f"{self.prog}: unknown option {name}", remedy=did_you_mean(name, self._options))
        raise UsageError(f"{self.prog}: unexpected argument {name!r}", remedy=self._see_help())

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise UsageError(f"{self.prog}: {message}", remedy=self._see_help())

    def _see_help(self) -> str:
        return f"See `{self.prog} --help`."
