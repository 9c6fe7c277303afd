"""What a worker is told of an environment: JSON values from which it makes its share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gymnasium

from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import EnvError
from puffer_core.vector.making import check_options, making
from puffer_core.vector.serial import SerialVectorEnv


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the environments of an id are made.

    Args:
        name: the id, for messages and the spec.
        target: `"module:Attribute"`, called as `interface` says.
        interface: `"gymnasium"` or `"vector"` (see `EnvSpec`).
        arguments: that the target is always given.
        options: that the user chose.

    Example:
        >>> recipe = Recipe(name="pole", target="puffer_core.vector.gymnasium:make", interface="gymnasium",
        ...     arguments={"gymnasium_id": "CartPole-v1"}, options={})
        >>> Recipe(**recipe.to_json()) == recipe
        True
    """

    name: str
    target: str
    interface: str
    arguments: Mapping[str, Any]
    options: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def make(self, target: Callable[..., Any], num_envs: int, *, first: int = 0, total: int = 0) -> VectorEnv:
        """A vector env of `num_envs` environments.

        Args:
            target: what `self.target` names, imported.
            num_envs: >= 1.
            first: the number that environment 0 has in the whole batch.
            total: environments of the whole batch.

        Raises:
            EnvError: it cannot be made.
            UsageError: an option that the target does not have.
        """
        with making(self.name, self.options):
            if self.interface == "gymnasium":
                check_options(self.name, target, self.options)
                make_one = partial(self._make_one, target)
                return SerialVectorEnv(make_one, num_envs, id=self.name, first=first, total=total)
            check_options(self.name, target, self.options, skip=1)
            env = target(num_envs, **self.arguments, **self.options)
            if isinstance(env, gymnasium.vector.VectorEnv):
                from puffer_core.vector.gymnasium_vector import GymnasiumVectorEnv

                return GymnasiumVectorEnv(lambda: env, num_envs, id=self.name)
            if not isinstance(env, VectorEnv):
                raise EnvError(f"{self.name}: {self.target} gave {env!r}, expected a VectorEnv")
            return env

    def _make_one(self, target: Callable[..., Any]) -> Any:
        with making(self.name, self.options):
            env = target(**self.arguments, **self.options)
            if isinstance(env, gymnasium.vector.VectorEnv):
                env.close()
                raise EnvError(
                    f"{self.name}: {self.target} gave a {type(env).__name__}, expected one environment",
                    remedy="a function that makes a batch has num_envs as its first parameter",
                )
            return env
