"""How the rows of Gymnasium's vector envs begin again when an episode ended."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from puffer_core.errors import EnvError

Batch: TypeAlias = "gymnasium.vector.VectorEnv[Any, Any, Any]"
Restart: TypeAlias = Literal["mask", "same", "next"]
"""By `reset` with a mask in the same step; by the env within the step; by the env with the next step, which is lost."""

_RESTARTS: dict[AutoresetMode, Restart] = {
    AutoresetMode.DISABLED: "mask",
    AutoresetMode.SAME_STEP: "same",
    AutoresetMode.NEXT_STEP: "next",
}


def restart_of(env: Batch, id: str) -> Restart:
    """How ended rows of `env` begin again. A bare SyncVectorEnv is put into the mode that needs no step for it.

    Args:
        env: as it was made.
        id: for messages.

    Raises:
        EnvError: it does not say its autoreset mode.

    Example:
        >>> restart_of(gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync"), "CartPole-v1")
        'mask'
        >>> restart_of(gymnasium.make_vec("CartPole-v1", 2), "CartPole-v1")
        'next'
    """
    given = env.metadata.get("autoreset_mode")
    try:
        mode = AutoresetMode(given)
    except ValueError:
        raise EnvError(
            f"{id}: metadata['autoreset_mode'] of {type(env).__name__} is {given!r}, expected one of "
            f"{', '.join(str(known) for known in AutoresetMode)}",
            remedy="set it to what the env does where an episode ends",
        ) from None
    if type(env) is SyncVectorEnv:
        # In its own SAME_STEP, `final_obs` is the env's array, not a copy: an env that writes into it again loses it.
        env.autoreset_mode = AutoresetMode.DISABLED
        return "mask"
    if type(env) is AsyncVectorEnv and mode is AutoresetMode.NEXT_STEP and env.shared_memory and env.worker is None:
        return "mask"  # its workers forget that a row was over when they are told to reset it
    return _RESTARTS[mode]


def time_limit(env: Batch) -> int | None:
    """Steps after which its episodes are cut off, as far as it says.

    Example:
        >>> time_limit(gymnasium.make_vec("CartPole-v1", 2))
        500
    """
    if env.spec is not None:
        limit = env.spec.kwargs.get("max_episode_steps", env.spec.max_episode_steps)
    else:
        first = next(iter(getattr(env.unwrapped, "envs", ())), None)
        limit = first.spec.max_episode_steps if first is not None and first.spec else None
    return None if limit is None else int(limit)
