"""Packages that register families of Gymnasium ids when they are imported, and how to ask for theirs."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

from puffer_core.errors import EnvError, PufferError, UsageError


class Family(NamedTuple):
    """Ids that begin with `prefix`, the module that registers them, and what installs it."""

    prefix: str
    module: str
    package: str
    ask: str = "gymnasium"
    """The family of Puffer's ids; `agents` for environments of several agents."""


FAMILIES = (
    Family("ALE/", "ale_py", "ale-py"),
    Family("BabyAI-", "minigrid", "minigrid"),
    Family("Foraging-", "lbforaging", "lbforaging", "agents"),
    Family("MiniGrid-", "minigrid", "minigrid"),
    Family("MiniWorld-", "miniworld", "miniworld"),
    Family("rware-", "rware", "rware", "agents"),
)


def family_of(name: str) -> Family | None:
    """The family of an id, with or without its module in front.

    Example:
        >>> family_of("minigrid:MiniGrid-DoorKey-5x5-v0").package
        'minigrid'
        >>> family_of("CartPole-v1") is None
        True
    """
    own = name.rpartition(":")[2]
    return next((family for family in FAMILIES if own.startswith(family.prefix)), None)


def unregistered(family: Family, name: str) -> PufferError:
    """The error for an id of a family that nothing has registered yet: import its module, or install it.

    Args:
        family: of the id.
        name: the id.

    Example:
        >>> print(unregistered(Family("Lost-", "no_such_envs", "lost-envs"), "Lost-v0"))
        Lost-v0 comes with the package lost-envs, which is not installed
        Install it: pip install lost-envs. Then ask for gymnasium:no_such_envs:Lost-v0.
    """
    own = name.rpartition(":")[2]
    ask = f"{family.ask}:{family.module}:{own}"
    if importlib.util.find_spec(family.module) is None:
        return EnvError(
            f"{name} comes with the package {family.package}, which is not installed",
            remedy=f"Install it: pip install {family.package}. Then ask for {ask}.",
        )
    return UsageError(
        f"Gymnasium has no environment {name!r} before {family.module} is imported, which registers it",
        remedy=f"Ask for {ask}.",
    )
