"""Every Gymnasium id as an environment: `gymnasium:CartPole-v1`, `CartPole-v1`, `gymnasium:ale_py:ALE/Pong-v5`."""

from __future__ import annotations

import importlib
import importlib.util
from difflib import get_close_matches
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec as RegisteredEnv
from gymnasium.envs.registration import find_highest_version, load_env_creator, registry

from puffer_core.errors import EnvError, UsageError, did_you_mean
from puffer_core.specs import EnvSpec
from puffer_core.vector.making import check_options, install_hint

FAMILY = "gymnasium:"

_MAKE_OPTIONS = ("max_episode_steps", "disable_env_checker")


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
        if explicit or get_close_matches(name, registry, n=1, cutoff=0.8):
            raise _unknown(id, name)
        return None
    return EnvSpec(
        name=name,
        summary=f"Gymnasium's {registered.id}{_newer(registered)}",
        target="puffer_core.vector.gymnasium:make",
        interface="gymnasium",
        arguments=(("gymnasium_id", name),),
    )


def make(*, gymnasium_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """`gymnasium.make`, without its per-step checker, which Puffer's own checks replace.

    Args:
        gymnasium_id: an id as `resolve` takes it, without the family.
        options: the environment's own options, and Gymnasium's `max_episode_steps`.

    Raises:
        UsageError: an unknown id or option; names the nearest.

    Example:
        >>> make(gymnasium_id="CartPole-v1", max_episode_steps=50).spec.max_episode_steps
        50
    """
    registered = _registered(gymnasium_id, explicit=True)
    if registered is None:
        raise _unknown(gymnasium_id, gymnasium_id)
    creator: Any = registered.entry_point
    if isinstance(creator, str):
        creator = load_env_creator(creator)
    if creator is not None:
        check_options(gymnasium_id, creator, options, also=_MAKE_OPTIONS)
    # Given the spec, `gymnasium.make` does not look the id up and so does not warn that a newer version exists.
    return gymnasium.make(registered, **{"disable_env_checker": True, **options})


def known_ids() -> list[str]:
    """Every id in Gymnasium's registry, sorted.

    Example:
        >>> "Pendulum-v1" in known_ids()
        True
    """
    return sorted(registry)


def _registered(name: str, *, explicit: bool) -> RegisteredEnv | None:
    module, colon, own = name.rpartition(":")
    if not colon:
        return registry.get(name)
    if not explicit and (not module.isidentifier() or importlib.util.find_spec(module) is None):
        return None
    try:
        importlib.import_module(module)
    except Exception as error:
        raise EnvError(
            f"{name}: the module {module}, which should register {own}, cannot be imported: "
            f"{type(error).__name__}: {error}",
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
