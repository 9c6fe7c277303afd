"""Options that every Gymnasium id takes beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from puffer_core.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import gymnasium

Env: TypeAlias = "gymnasium.Env[Any, Any]"


class GymnasiumOptions(BaseModel):
    """The options of an environment made by `gymnasium.make`; others go to the environment's constructor."""

    model_config = ConfigDict(extra="allow", frozen=True)

    max_episode_steps: int | None = None
    """Steps after which an episode is cut off; -1: never; none: as the id is registered."""
    render_mode: str | None = None
    """How it shows itself, in words of its own; `rgb_array` gives pictures."""
    without: tuple[str, ...] = ()
    """Keys to leave out of an observation that is a Dict."""


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options without those of `GymnasiumOptions` that were left as they are.

    Example:
        >>> given({"max_episode_steps": None, "without": (), "map_name": None, "render_mode": "rgb_array"})
        {'map_name': None, 'render_mode': 'rgb_array'}
    """
    fields = GymnasiumOptions.model_fields
    return {
        name: value
        for name, value in options.items()
        if name not in fields or (tuple(value) if isinstance(value, list) else value) != fields[name].default
    }


def leave_out(env: Env, keys: Sequence[str], id: str) -> Env:
    """`env` without some keys of its observation, by `gymnasium.wrappers.FilterObservation`.

    Args:
        env: whose observation is a Dict.
        keys: of it; none leaves the env as it is.
        id: for messages.

    Raises:
        UsageError: it is no Dict, has no such key, or would have none left.

    Example:
        >>> import gymnasium
        >>> env = gymnasium.wrappers.TimeAwareObservation(gymnasium.make("CartPole-v1"), flatten=False)
        >>> list(leave_out(env, ["time"], "CartPole-v1").observation_space)
        ['obs']
    """
    if not keys:
        return env
    from gymnasium.spaces import Dict
    from gymnasium.wrappers import FilterObservation

    space = env.observation_space
    if not isinstance(space, Dict):
        raise UsageError(f"--env.without: the observation of {id} is {space}, which has no keys to leave out")
    for key in keys:
        if key not in space.spaces:
            raise UsageError(
                f"--env.without {key}: the observation of {id} has no such key", remedy=did_you_mean(key, space.spaces)
            )
    kept = [key for key in space.spaces if key not in keys]
    if not kept:
        raise UsageError(f"--env.without: that is every key of the observation of {id}, expected one to be left")
    return FilterObservation(env, kept)
