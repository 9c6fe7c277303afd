"""Errors of Puffer, each with the exit code that the command line ends with.

A message says what was wrong, where, what was expected and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable


class PufferError(Exception):
    r"""Base of every error that Puffer raises on purpose.

    Args:
        message: what was wrong, where, and what was expected instead.
        remedy: what the reader can do now; printed on a line of its own.

    Example:
        >>> str(PufferError("no such file: a.toml", remedy="check the path"))
        'no such file: a.toml\ncheck the path'
    """

    exit_code = 1
    prefix = "error: "
    """What the command line prints before the message."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class UsageError(PufferError):
    """A command, option, name or configuration value that cannot be used as given."""

    exit_code = 2


class ShapeError(UsageError, ValueError):
    """Arrays or spaces whose shapes do not fit together."""


class UnsupportedError(UsageError):
    """A component was asked for something it does not do (an op, a space, an option)."""


class PluginError(PufferError):
    """A plugin is missing, broken, incompatible, or provides what it should not."""

    exit_code = 3


class CheckpointError(PufferError):
    """A run directory or checkpoint that is missing, damaged or does not fit."""

    exit_code = 4


class EnvError(PufferError):
    """An environment that cannot be made, or that broke its own contract."""

    exit_code = 5


class ResourceError(PufferError):
    """Memory, disk or another resource of the machine ran out."""

    exit_code = 6


class PufferWarning(UserWarning):
    """What the user should know, and the work goes on without; `puffer` shows it as one line on stderr."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The sentence that offers the known names nearest to `name`, or all of them if none is near.

    Example:
        >>> did_you_mean("pop", ["ppo", "sac"])
        'Did you mean ppo?'
        >>> did_you_mean("xyz", ["ppo", "sac"])
        'Known: ppo, sac.'
    """
    import difflib  # costs 10 ms, and only an error needs it

    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(names)}." if names else "None is installed."
