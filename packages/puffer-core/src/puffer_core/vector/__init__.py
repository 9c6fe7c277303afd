"""Vector environments: batches of rows, stepped where the configuration says."""

from __future__ import annotations

from functools import partial
from typing import Any

from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import EnvError, UnsupportedError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec
from puffer_core.vector.making import check_options, making
from puffer_core.vector.serial import SerialVectorEnv, environment_seed

__all__ = ["SerialVectorEnv", "environment_seed", "make_vector_env"]

_MODES = {"gymnasium": ("auto", "serial"), "vector": ("auto", "native")}


def make_vector_env(provided: Provided, target: Any, options: dict[str, Any], vector: VectorConfig) -> VectorEnv:
    """The vector env that a registered environment gives.

    Args:
        provided: the environment's description and who provides it.
        target: what its `spec.target` names, imported.
        options: the environment's options, by name.
        vector: how many environments, and where they are stepped.

    Raises:
        UsageError: an option that the environment does not have, or a mode that does not work for it.
        UnsupportedError: its interface or one of its spaces cannot be served; says what can.
        EnvError: it cannot be made; names the options, the cause, and what to install if a package is missing.

    Example:
        >>> from puffer_core.vector.gymnasium import make, resolve
        >>> cartpole = Provided(resolve("CartPole-v1"), "puffer-core", "0.1.0")
        >>> env = make_vector_env(cartpole, make, {"max_episode_steps": 50}, VectorConfig(num_envs=2))
        >>> env.spec.rows, env.spec.max_episode_steps
        (2, 50)
        >>> env.close()
    """
    spec = provided.spec
    assert isinstance(spec, EnvSpec)
    _check_mode(spec, vector.mode)
    fixed = dict(spec.arguments)
    with making(spec.name, options):
        if spec.interface == "vector":
            check_options(spec.name, target, options, skip=1)
            env = target(vector.num_envs, **fixed, **options)
            if not isinstance(env, VectorEnv):
                raise EnvError(f"{spec.name}: {spec.target} gave {env!r}, expected a VectorEnv")
            return env
        check_options(spec.name, target, options)
        return SerialVectorEnv(partial(_make_one, spec, target, options), vector.num_envs, id=spec.name)


def _make_one(spec: EnvSpec, target: Any, options: dict[str, Any]) -> Any:
    with making(spec.name, options):
        return target(**dict(spec.arguments), **options)


def _check_mode(spec: EnvSpec, mode: str) -> None:
    if spec.interface not in _MODES:
        raise UnsupportedError(
            f"{spec.name} has the interface {spec.interface!r}; environments are stepped in batches from "
            f"{' and '.join(map(repr, _MODES))} so far"
        )
    works = _MODES[spec.interface]
    if mode not in works:
        kind = "a single Python environment" if spec.interface == "gymnasium" else "a batch of its own"
        raise UsageError(
            f"--vector.mode {mode} does not work for {spec.name}, which is {kind}",
            remedy=f"Use {' or '.join(works)}.",
        )
