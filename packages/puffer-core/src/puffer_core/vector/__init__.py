"""Vector environments: batches of rows, stepped where the configuration says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import UnsupportedError, UsageError
from puffer_core.lazy import lazy_names
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec, import_target
from puffer_core.vector.declaring import declared
from puffer_core.vector.making import check_options, making
from puffer_core.vector.recipe import Recipe
from puffer_core.vector.seeding import environment_seed
from puffer_core.vector.serial import SerialVectorEnv
from puffer_core.vector.shares import is_isolated, main_takes_part, number_of_workers

if TYPE_CHECKING:
    from puffer_core.vector.process import ProcessVectorEnv

__all__ = ["ProcessVectorEnv", "SerialVectorEnv", "environment_seed", "make_vector_env"]

__getattr__ = lazy_names(__name__, {"ProcessVectorEnv": "puffer_core.vector.process"})

_MODES = {
    "gymnasium": ("auto", "serial", "process"),
    "vector": ("auto", "native", "process"),
    "gymnasium-vector": ("auto", "native"),
}


def make_vector_env(provided: Provided, target: Any, options: dict[str, Any], vector: VectorConfig) -> VectorEnv:
    """The vector env that a registered environment gives.

    `auto` is the plain way: one process, unless the environment must be kept out of it.

    Args:
        provided: the environment's description and who provides it.
        target: what its `spec.target` names, imported.
        options: the environment's options, by name.
        vector: how many environments, and where they are stepped.

    Raises:
        UsageError: an option that the environment does not have, a mode that does not work for it, or more workers
            than environments.
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
    spec = declared(provided, target)
    if vector.mode == "native" and spec.interface == "gymnasium":
        spec, target = _as_batch(spec)
    mode = _mode(spec, vector)
    if spec.interface == "gymnasium-vector":
        return _gymnasium_batch(spec, target, options, vector.num_envs)
    recipe = Recipe(
        name=spec.name,
        target=spec.target,
        interface=spec.interface,
        arguments=dict(spec.arguments),
        options=options,
    )
    if mode == "process":
        return _in_processes(recipe, target, vector.model_copy(update={"isolate": is_isolated(spec, vector)}))
    return recipe.make(target, vector.num_envs)


def _mode(spec: EnvSpec, vector: VectorConfig) -> str:
    if spec.interface not in _MODES:
        raise UnsupportedError(
            f"{spec.name} has the interface {spec.interface!r}; environments are stepped in batches from "
            f"{' and '.join(map(repr, _MODES))} so far"
        )
    works = _MODES[spec.interface]
    if vector.mode not in works:
        kind = "a single Python environment" if spec.interface == "gymnasium" else "a batch of its own"
        raise UsageError(
            f"--vector.mode {vector.mode} does not work for {spec.name}, which is {kind}",
            remedy=f"Use {_either(works)}.",
        )
    alone = vector.mode == "auto" and "process" in works and is_isolated(spec, vector)
    return "process" if alone else vector.mode


def _in_processes(recipe: Recipe, target: Any, vector: VectorConfig) -> VectorEnv:
    from puffer_core.vector.process import ProcessVectorEnv

    with making(recipe.name, recipe.options):
        check_options(recipe.name, target, recipe.options, skip=int(recipe.interface == "vector"))
    main_steps = main_takes_part(vector)
    workers = number_of_workers(vector.workers, vector.num_envs, main_steps=main_steps, main_acts=vector.batches == 2)
    return ProcessVectorEnv(
        recipe,
        target if main_steps else None,
        num_envs=vector.num_envs,
        workers=workers,
        timeout=vector.timeout,
        restarts=vector.restarts,
    )


def _as_batch(spec: EnvSpec) -> tuple[EnvSpec, Any]:
    from puffer_core.vector.gymnasium import vectorised

    batch = vectorised(spec)
    if batch is None:
        raise UsageError(
            f"--vector.mode native does not work for {spec.name}, which is a single Python environment",
            remedy=f"Use {_either(_MODES['gymnasium'])}.",
        )
    return batch, import_target(batch.target)


def _gymnasium_batch(spec: EnvSpec, target: Any, options: dict[str, Any], num_envs: int) -> VectorEnv:
    from puffer_core.vector.gymnasium_vector import GymnasiumVectorEnv

    with making(spec.name, options):
        check_options(spec.name, target, options, skip=1)
        make = partial(target, num_envs, **dict(spec.arguments), **options)
        return GymnasiumVectorEnv(make, num_envs, id=spec.name)


def _either(modes: tuple[str, ...]) -> str:
    return f"{', '.join(modes[:-1])} or {modes[-1]}"
