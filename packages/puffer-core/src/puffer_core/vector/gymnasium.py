"""Every Gymnasium id as an environment: `gymnasium:CartPole-v1`, `CartPole-v1`, `gymnasium:ale_py:ALE/Pong-v5`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import gymnasium
import gymnasium.vector
from gymnasium.envs.registration import EnvSpec as RegisteredEnv
from gymnasium.envs.registration import find_highest_version, load_env_creator, registry
from gymnasium.spaces import Tuple

from puffer_core.errors import EnvError, UnsupportedError, UsageError, did_you_mean
from puffer_core.guests import working_directory_kept
from puffer_core.quoting import error_text
from puffer_core.specs import EnvSpec
from puffer_core.vector.checks import FAULTS
from puffer_core.vector.families import family_of, unregistered
from puffer_core.vector.gymnasium_options import given, leave_out
from puffer_core.vector.making import check_options, install_hint, refuse_unexpected

FAMILY = "gymnasium:"

_MAKE_OPTIONS = ("max_episode_steps", "without", "disable_env_checker")
_BROKEN_BATCHES = "gymnasium.envs.phys2d."
"""Gymnasium 1.4's FunctionalJaxVectorEnv takes back a step of every other row when one row begins anew."""


def resolve(id: str) -> EnvSpec | None:
    """Describe a Gymnasium environment, or give None for an id that is not one.

    Args:
        id: `gymnasium:ID`, or a bare `ID`. Where another package registers the id, `ID` may name its module first,
            as in Gymnasium: `minigrid:MiniGrid-Empty-5x5-v0`.

    Raises:
        UsageError: Gymnasium has no such id, and the family was named or a similar id exists; names the nearest.
        EnvError: the module that registers the id cannot be imported.

    Example:
        >>> resolve("gymnasium:CartPole-v1").name
        'CartPole-v1'
        >>> resolve("cartpole") is None
        True
    """
    name = id.removeprefix(FAMILY)
    explicit = name != id
    registered = _registered(name, explicit=explicit)
    if registered is None:
        family = family_of(name)
        if family is not None and (":" not in name or not _importable(name.rpartition(":")[0])):
            raise unregistered(family, name)
        if explicit or get_close_matches(name, registry, n=1, cutoff=0.8):
            raise _unknown(id, name)
        return None
    return EnvSpec(
        name=name,
        summary=f"Gymnasium's {registered.id}{_newer(registered)}",
        target="puffer_core.vector.gymnasium:make_single_agent",
        config="puffer_core.vector.gymnasium_options:GymnasiumOptions",
        interface="gymnasium",
        arguments=(("gymnasium_id", name),),
    )


def vectorised(spec: EnvSpec) -> EnvSpec | None:
    """The same environment as a batch of its own, for ids that register a `vector_entry_point`; None for others.

    Args:
        spec: as `resolve` gives it.

    Example:
        >>> vectorised(resolve("CartPole-v1")).interface
        'gymnasium-vector'
        >>> vectorised(resolve("Pendulum-v1")) is None
        True
    """
    name = dict(spec.arguments).get("gymnasium_id")
    registered = _registered(name, explicit=True) if isinstance(name, str) else None
    entry = registered.vector_entry_point if registered is not None else None
    if entry is None or (isinstance(entry, str) and entry.startswith(_BROKEN_BATCHES)):
        return None
    return replace(spec, target="puffer_core.vector.gymnasium:make_batch", interface="gymnasium-vector")


def make(*, gymnasium_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """`gymnasium.make`, without its per-step checker, which Puffer's own checks replace.

    Args:
        gymnasium_id: an id as `resolve` takes it, without the family.
        options: the environment's own options, and those of `GymnasiumOptions`.

    Raises:
        UsageError: an unknown id or option; names the nearest.

    Example:
        >>> make(gymnasium_id="CartPole-v1", max_episode_steps=50).spec.max_episode_steps
        50
    """
    registered, options = _found(gymnasium_id), given(options)
    creator = _loaded(registered.entry_point)
    if creator is not None:
        check_options(gymnasium_id, creator, options, also=_MAKE_OPTIONS)
        _check_render_mode(gymnasium_id, creator, options)
    keys = options.pop("without", ())
    with refuse_unexpected(gymnasium_id, creator, options, also=_MAKE_OPTIONS):
        # Given the spec, `gymnasium.make` does not look the id up and so does not warn that a newer version exists.
        env: Any = gymnasium.make(registered, **{"disable_env_checker": True, **options})
    return leave_out(env, keys, gymnasium_id)


def make_single_agent(*, gymnasium_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """As `make`, but no environment of several agents: one row could not hold their rewards.

    Raises:
        UnsupportedError: its spaces are Tuples of one part an agent; names the id that gives each agent a row.
    """
    env = make(gymnasium_id=gymnasium_id, **options)
    parts = [len(space) for space in (env.observation_space, env.action_space) if isinstance(space, Tuple)]
    if len(parts) == 2 and parts[0] == parts[1] > 0 and hasattr(env.unwrapped, "n_agents"):
        env.close()
        raise UnsupportedError(
            f"{gymnasium_id} has {parts[0]} agents: its observation and action are Tuples of one part an agent",
            remedy=f"Give each a row: agents:{gymnasium_id}, of puffer-env-pettingzoo.",
        )
    return env


def make_batch(num_envs: int, *, gymnasium_id: str, **options: Any) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    """`gymnasium.make_vec` of an id that registers a `vector_entry_point`.

    Args:
        num_envs: environments in the batch.
        gymnasium_id: as `make` takes it.
        options: those of the batch itself, and those of `GymnasiumOptions` but `without`.

    Raises:
        UsageError: an unknown id or option; names the nearest.

    Example:
        >>> make_batch(3, gymnasium_id="CartPole-v1").num_envs
        3
    """
    registered, options = _found(gymnasium_id), given(options)
    if options.pop("without", ()):
        raise UsageError(f"--env.without works where {gymnasium_id} is stepped one by one: --vector.mode serial")
    creator = _loaded(registered.vector_entry_point)
    check_options(gymnasium_id, creator, options, skip=1)
    _check_render_mode(gymnasium_id, creator, options)
    return gymnasium.make_vec(registered, num_envs, vectorization_mode="vector_entry_point", **options)


def known_ids() -> list[str]:
    """Every id in Gymnasium's registry, sorted.

    Example:
        >>> "Pendulum-v1" in known_ids()
        True
    """
    return sorted(registry)


def _found(gymnasium_id: str) -> RegisteredEnv:
    registered = _registered(gymnasium_id, explicit=True)
    if registered is None:
        raise _unknown(gymnasium_id, gymnasium_id)
    return registered


def _loaded(entry_point: Any) -> Any:
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def _check_render_mode(gymnasium_id: str, creator: Any, options: dict[str, Any]) -> None:
    mode, modes = options.get("render_mode"), getattr(creator, "metadata", {}).get("render_modes", ())
    if mode is not None and modes and mode not in ("human", *modes):  # Gymnasium makes a window of any pictures
        raise UsageError(f"{gymnasium_id} has no render_mode {mode!r}", remedy=did_you_mean(mode, modes))


def _importable(module: str) -> bool:
    """Whether a module is installed, as far as that can be told without importing anything."""
    try:
        return module.isidentifier() and importlib.util.find_spec(module) is not None
    except ValueError:  # `__main__`, and what else has no spec
        return False


def _registered(name: str, *, explicit: bool) -> RegisteredEnv | None:
    module, colon, own = name.rpartition(":")
    if not colon:
        return registry.get(name)
    if not explicit and not _importable(module):
        return None
    try:
        with redirect_stdout(sys.stderr), working_directory_kept():
            importlib.import_module(module)
    except FAULTS as error:
        raise EnvError(
            f"{name}: the module {module}, which should register {own}, cannot be imported: {error_text(error)}",
            remedy=install_hint(error),
        ) from error
    return registry.get(own)


def _unknown(id: str, name: str) -> UsageError:
    own = name.rpartition(":")[2]
    if "/" in own and own.partition("/")[0] not in {spec.namespace for spec in registry.values()}:
        remedy = f"If another package registers it, name its module: {FAMILY}MODULE:{own}."
    else:
        remedy = did_you_mean(own, _versions(own) or registry)
    return UsageError(f"Gymnasium has no environment {id!r}", remedy=remedy)


def _versions(own: str) -> list[str]:
    base = own.rpartition("-v")[0] or own
    return [known for known in registry if known.rpartition("-v")[0] == base]


def _newer(registered: RegisteredEnv) -> str:
    latest = find_highest_version(registered.namespace, registered.name)
    if registered.version is None or latest is None or latest <= registered.version:
        return ""
    return f" (out of date: there is a version {latest})"
