"""What an environment is that nobody described: a `py:` target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec
from puffer_core.vector.making import option_names


def declared(provided: Provided, target: Any) -> EnvSpec:
    """The description of an environment, now that its target is imported.

    A `py:` target gives a batch if its first parameter is `num_envs`; before it is imported nobody can tell. A class
    without the method `bind` then is a device env.

    Args:
        provided: the environment's description and who provides it.
        target: what its `spec.target` names, imported.

    Example:
        >>> def make(num_envs, speed=1.0): ...
        >>> mine = Provided(EnvSpec(name="mine", summary="py:mine:make", target="mine:make"), "", "")
        >>> declared(mine, make).interface
        'vector'
    """
    spec = provided.spec
    assert isinstance(spec, EnvSpec)
    unpackaged = not provided.distribution and spec.interface == "gymnasium"
    if unpackaged and option_names(target)[:1] == ["num_envs"]:
        device = isinstance(target, type) and not hasattr(target, "bind")
        return replace(spec, interface="device" if device else "vector")
    return spec
