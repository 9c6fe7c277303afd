"""Making gymnax's environments: found by id, with parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import gymnax
import jax.numpy as jnp
import numpy as np
from gymnax import registration
from gymnax.environments.environment import Environment

from puffer_core.errors import EnvError, UsageError, did_you_mean
from puffer_core.vector.making import install_hint, option_names
from puffer_env_gymnax.env import GymnaxEnv


def make(num_envs: int, *, env_id: str, **options: Any) -> GymnaxEnv:
    """A batch of a gymnax environment.

    Args:
        num_envs: >= 1.
        env_id: as in `gymnax.registered_envs`; `MODULE:ID` where importing `MODULE` registers it.
        options: fields of the environment's parameters (`max_steps_in_episode`, `gravity`), and what its constructor
            takes (`use_minimal_action_set`).

    Raises:
        UsageError: no such environment, no such option, or a value that is not of its kind.
        UnsupportedError: a space that cannot be served.
        EnvError: the module cannot be imported, or gymnax is older than 1.0.

    Example:
        >>> env = make(4, env_id="CartPole-v1", max_steps_in_episode=200)
        >>> env.spec.id, env.spec.rows, env.spec.max_episode_steps
        ('gymnax:CartPole-v1', 4, 200)
    """
    if not hasattr(Environment, "is_truncated"):
        raise EnvError("gymnax is too old, expected 1.0 or later", remedy="Install it: pip install 'gymnax>=1.0'")
    module, _, id = env_id.rpartition(":")
    if module:
        _import(module, env_id)
    factory = registration._registry.get(id)
    if factory is None:
        raise UsageError(f"gymnax has no environment {id!r}", remedy=did_you_mean(id, gymnax.registered_envs))
    takes = [name for name in option_names(factory) if name in options]
    env, params = gymnax.make(id, **{name: options[name] for name in takes})
    rest = {name: value for name, value in options.items() if name not in takes}
    return GymnaxEnv(num_envs, env, _with_options(id, params, rest, option_names(factory)), id)


def _import(module: str, env_id: str) -> None:
    try:
        import_module(module)
    except ImportError as error:
        raise EnvError(f"gymnax:{env_id}: {module} cannot be imported: {error}", remedy=install_hint(error)) from error


def _with_options(id: str, params: Any, options: Mapping[str, Any], also: list[str]) -> Any:
    usual = {field.name: getattr(params, field.name) for field in fields(params)}
    for name in options:
        if name not in usual:
            raise UsageError(f"gymnax:{id} has no option {name!r}", remedy=did_you_mean(name, [*usual, *also]))
    changed = params.replace(**{name: _like(id, name, value, usual[name]) for name, value in options.items()})
    if "max_steps_in_episode" in options and changed.max_steps_in_episode < 1:
        raise UsageError(f"gymnax:{id}: max_steps_in_episode is {changed.max_steps_in_episode}, expected at least 1")
    return changed


def _like(id: str, name: str, value: Any, usual: Any) -> Any:
    """`value` as a number, a flag or an array like the usual one."""
    given, wanted = np.asarray(value), np.asarray(usual)
    fits = given.shape == wanted.shape and np.can_cast(given.dtype, wanted.dtype, "same_kind")
    if not fits or (given.dtype.kind == "b") != (wanted.dtype.kind == "b"):
        raise UsageError(f"gymnax:{id}: {name} is {value!r}, expected a value like {usual!r}")
    return type(usual)(value) if isinstance(usual, bool | int | float) else jnp.asarray(given, wanted.dtype)
