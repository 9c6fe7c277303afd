"""Making an environment from its target: options checked by name, failures with the command that mends them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium
from gymnasium.error import DependencyNotInstalled

from puffer_core.errors import EnvError, PufferError, UnsupportedError, UsageError, did_you_mean
from puffer_core.guests import working_directory_kept
from puffer_core.quoting import error_text
from puffer_core.spaces.layout import Layout
from puffer_core.spaces.nesting import is_nested
from puffer_core.vector.checks import FAULTS

_PIP = re.compile(r"pip install [^`'\n]+[^`'\n.,;: ]")
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_ANYTHING = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
_OPTION_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_options(
    name: str, target: Callable[..., Any], options: Mapping[str, Any], *, also: Iterable[str] = (), skip: int = 0
) -> None:
    """Refuse options that calling `target` would not take; a target with `**kwargs` takes any.

    Args:
        name: the environment, for the message.
        target: what is called with the options.
        options: by name.
        also: names that are taken beside those of the target.
        skip: number of leading parameters that are not options.

    Raises:
        UsageError: an unknown option; names the nearest.

    Example:
        >>> def make(gravity=9.8, length=1.0): ...
        >>> check_options("pole", make, {"gravity": 1.6})
        >>> check_options("pole", make, {"gravitty": 1.6})
        Traceback (most recent call last):
        puffer_core.errors.UsageError: pole has no option 'gravitty'
        Did you mean gravity?
    """
    parameters = _parameters(target)
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [*(parameter.name for parameter in parameters[skip:] if parameter.kind in _OPTION_KINDS), *also]
    for option in options:
        if option not in known:
            remedy = did_you_mean(option, known) if known else "It has none."
            raise UsageError(f"{name} has no option {option!r}", remedy=remedy)


@contextmanager
def refuse_unexpected(
    name: str, target: Any, options: Mapping[str, Any], *, also: Iterable[str] = ()
) -> Iterator[None]:
    """The same where `target` takes any option and passes it on, to a base class that then refuses it.

    Raises:
        UsageError: what is called inside raised a TypeError about one of `options`; names the nearest.
    """
    try:
        yield
    except TypeError as error:
        found = _UNEXPECTED.search(str(error))
        if found is None or found[1] not in options:
            raise
        bases = target.__mro__[:-1] if isinstance(target, type) else [target]
        known = {name for base in bases for name in option_names(base)} - {found[1]}
        raise UsageError(
            f"{name} has no option {found[1]!r}", remedy=did_you_mean(found[1], {*known, *also})
        ) from error


def option_names(target: Any) -> list[str]:
    """Names of the arguments that calling `target` takes, in order; none where that cannot be told.

    Example:
        >>> option_names(lambda num_envs, *, speed=1.0: None)
        ['num_envs', 'speed']
    """
    return [each.name for each in _parameters(target) if each.kind in _OPTION_KINDS and each.name != "self"]


def _parameters(target: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # compiled code without a signature: it may take anything
        return [_ANYTHING]


@contextmanager
def making(name: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Turn whatever an environment raises while it is made into an error that says what to do.

    Raises:
        EnvError: names the environment, its options, the cause, and the package to install if one is missing.
    """
    try:
        with working_directory_kept():
            yield
    except PufferError:
        raise
    except FAULTS as error:
        told = [f"{key}={value!r}" for key, value in options.items() if value not in (None, (), [])]
        given = f" with {', '.join(told)}" if told else ""
        raise EnvError(f"{name} cannot be made{given}: {error_text(error)}", remedy=install_hint(error)) from error


def layout_of(id: str, role: str, space: Any) -> Layout:
    """The layout of one of an environment's spaces.

    Args:
        id: the environment, for messages.
        role: `observation` or `action`, likewise.
        space: what the environment says its space is.

    Raises:
        EnvError: it is no space, or an empty Dict or Tuple: an environment of no agents.
        UnsupportedError: it has no layout; says what helps.

    Example:
        >>> layout_of("mine", "action", gymnasium.spaces.Tuple([]))
        Traceback (most recent call last):
        puffer_core.errors.EnvError: mine: the action space is Tuple(), expected at least one part: it has no agents
    """
    if not isinstance(space, gymnasium.Space):
        raise EnvError(f"{id}: the {role} space is {space!r}, expected a gymnasium.Space")
    if is_nested(space) and not space.spaces:  # type: ignore[attr-defined]
        raise EnvError(f"{id}: the {role} space is {space}, expected at least one part: it has no agents")
    try:
        return Layout.of(space)
    except UnsupportedError as error:
        raise UnsupportedError(f"{id}, {role} space: {error.message}", remedy=error.remedy) from None


def install_hint(error: BaseException) -> str:
    """The command that installs what is missing; empty if nothing is.

    Example:
        >>> install_hint(ModuleNotFoundError("No module named 'ale_py'", name="ale_py"))
        'Install it: pip install ale-py'
    """
    commands = _PIP.findall(str(error)) if isinstance(error, ImportError | DependencyNotInstalled) else []
    if not commands and isinstance(error, ModuleNotFoundError) and error.name:
        commands = [f"pip install {error.name.partition('.')[0].replace('_', '-')}"]
    return f"Install it: {' and '.join(commands)}" if commands else ""
