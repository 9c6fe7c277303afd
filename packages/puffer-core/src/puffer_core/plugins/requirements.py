"""Whether a distribution's requirement on the core admits the core that is installed.

A few lines in place of the `packaging` library, which is no dependency of the core and costs 20 ms to import.
They follow PEP 440 for the versions and operators that build tools write. A requirement with an environment
marker, and whatever else is not understood, is not judged: pip has checked it at installation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*\(?([^;()@]*)\)?", re.ASCII)
_SPECIFIER = re.compile(r"(===|==|!=|<=|>=|~=|<|>)\s*(\S+)")
_VERSION = re.compile(
    r"(?:(\d+)!)?(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?(?:\.post(\d+))?(?:\.dev(\d+))?(?:\+[a-z0-9.]+)?", re.ASCII
)
_INFINITY = float("inf")


_Version: TypeAlias = tuple[int, tuple[int, ...], tuple[str, int], int, float]
"""Epoch, release, pre-release, post-release, development release: sorts as PEP 440 orders versions."""
_FINAL = ("z", 0)
"""In place of a pre-release, after all of them."""


def unmet(requires: Iterable[str], distribution: str, version: str) -> str:
    """The first requirement on `distribution` that excludes `version`, or an empty string.

    Args:
        requires: requirements as in `Requires-Dist` lines.
        distribution: normalised name.
        version: the one installed.

    Example:
        >>> unmet(["numpy>=2", "puffer-core>=0.1,<0.2"], "puffer-core", "0.3.0")
        'puffer-core>=0.1,<0.2'
        >>> unmet(["puffer-core>=0.1,<0.2"], "puffer-core", "0.1.4")
        ''
    """
    for requirement in requires:
        match = _REQUIREMENT.fullmatch(requirement.strip())
        if match and normalise(match[1]) == distribution and not _admits(match[2], version):
            return requirement
    return ""


def normalise(name: str) -> str:
    """A distribution's name in the one form that compares (PEP 503).

    Example:
        >>> normalise("Puffer_PPO")
        'puffer-ppo'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _admits(specifiers: str, version: str) -> bool:
    installed = _parse(version)
    if installed is None:
        return True
    parts = [_SPECIFIER.fullmatch(part.strip()) for part in specifiers.split(",") if part.strip()]
    return all(part is None or _compare(installed, part[1], part[2], version) for part in parts)


def _parse(text: str) -> _Version | None:
    match = _VERSION.fullmatch(text.lower())
    if not match:
        return None
    epoch, release, letter, number, post, dev = match.groups()
    numbers = [int(part) for part in release.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    if letter:
        pre = (letter, int(number))
    else:
        pre = ("", 0) if dev and not post else _FINAL  # 1.0.dev1 < 1.0a1 < 1.0
    return int(epoch or 0), tuple(numbers), pre, int(post) if post else -1, int(dev) if dev else _INFINITY


def _compare(installed: _Version, operator: str, bound: str, version: str) -> bool:
    if operator == "===":
        return version == bound
    if operator == "~=":
        match = _VERSION.fullmatch(bound)
        series = f"{match[1] or 0}!{match[2].rpartition('.')[0]}.*" if match else bound
        return _compare(installed, ">=", bound, version) and _compare(installed, "==", series, version)
    if operator == "!=":
        return not _compare(installed, "==", bound, version)
    other = _parse(bound.removesuffix(".*"))
    if other is None:
        return True
    if bound.endswith(".*"):
        width = bound.count(".")
        padded, wanted = ((*version[1], *[0] * width)[:width] for version in (installed, other))
        return installed[0] == other[0] and padded == wanted
    kin = installed[:2] == other[:2] and other[2:] == (_FINAL, -1, _INFINITY)  # of the very release that bounds it
    return {
        "==": installed == other,
        "<=": installed <= other,
        ">=": installed >= other,
        "<": installed < other and not kin,  # 2.0rc1 is not below 2.0
        ">": installed > other and not kin,  # 1.0.post1 is not above 1.0
    }[operator]
