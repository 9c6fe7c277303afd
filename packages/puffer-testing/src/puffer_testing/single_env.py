"""Checks of a Gymnasium env as its author wrote it: what is too costly to look at in every step of a run."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_core.spaces.layout import Layout
from puffer_core.vector.random_actions import random_actions


class SingleEnvChecks:
    """Spaces, dtypes and types of everything that one `gymnasium.Env` gives, played with random actions.

    Args:
        make: gives a new env.
        steps: played by each check.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], steps: int = 200) -> None:
        self._make = make
        self._steps = steps

    def test_every_observation_is_of_its_space_and_dtype(self) -> None:
        with self._env() as env:
            for when, observation in self._observations(env):
                wrong = misfit(env.observation_space, observation)
                assert not wrong, f"{when}: {wrong}"

    def test_flags_are_flags_and_rewards_are_numbers(self) -> None:
        for step, outcome in enumerate(self._outcomes()):
            reward, terminated, truncated = outcome[1:4]
            number = isinstance(reward, numbers.Real | np.bool_) or (np.ndim(reward) == 0 and hasattr(reward, "item"))
            assert number, f"step {step}: the reward is {_said(reward)}, expected a number"
            for name, flag in (("terminated", terminated), ("truncated", truncated)):
                assert isinstance(flag, bool | np.bool_), f"step {step}: {name} is {_said(flag)}, expected a bool"

    def test_infos_are_dicts(self) -> None:
        with self._env() as env:
            info = env.reset(seed=0)[1]
            assert isinstance(info, Mapping), f"reset: the info is {_said(info)}, expected a dict"
        for step, outcome in enumerate(self._outcomes()):
            assert isinstance(outcome[4], Mapping), f"step {step}: the info is {_said(outcome[4])}, expected a dict"

    def test_observations_are_not_changed_afterwards(self) -> None:
        """An env that hands out its own array and goes on writing into it rewrites what was observed."""
        kept: list[tuple[str, Any, Any]] = []
        with self._env() as env:
            for when, observation in self._observations(env):
                kept.append((when, observation, _copied(observation)))
                for earlier, value, before in kept[-2:-1]:
                    assert _equal(value, before), f"{when} changed the observation that {earlier} had given"

    @contextmanager
    def _env(self) -> Iterator[gymnasium.Env[Any, Any]]:
        env = self._make()
        try:
            yield env
        finally:
            env.close()

    def _observations(self, env: gymnasium.Env[Any, Any]) -> Iterator[tuple[str, Any]]:
        yield "reset", env.reset(seed=0)[0]
        for step, outcome in enumerate(self._steps_of(env)):
            yield f"step {step}", outcome[0]
            if outcome[2] or outcome[3]:
                yield f"reset after step {step}", env.reset()[0]

    def _outcomes(self) -> Iterator[tuple[Any, ...]]:
        with self._env() as env:
            env.reset(seed=0)
            for outcome in self._steps_of(env):
                yield outcome
                if outcome[2] or outcome[3]:
                    env.reset()

    def _steps_of(self, env: gymnasium.Env[Any, Any]) -> Iterator[tuple[Any, ...]]:
        """Random actions; whoever takes the outcomes resets the env where an episode ended."""
        layout, rng = Layout.of(env.action_space), np.random.default_rng(0)
        mask: np.ndarray[Any, Any] | None = None
        for _ in range(self._steps):
            outcome = env.step(layout.structure(random_actions(layout, rng, 1, mask)[0]))
            mask = _mask(outcome[4], layout)
            yield outcome


def _mask(info: Any, layout: Layout) -> np.ndarray[Any, Any] | None:
    said = info.get("action_mask") if isinstance(info, Mapping) else None
    if said is None:
        return None
    flat = np.concatenate([np.ravel(part) for part in (said if isinstance(said, tuple) else (said,))])
    return flat.astype(np.bool_)[None] if flat.size == layout.mask_size else None


def misfit(space: gymnasium.Space[Any], value: Any, path: str = "") -> str:
    """Why a value is not of a space, and where within it; empty where it is.

    Example:
        >>> misfit(spaces.Dict({"at": spaces.Box(0, 1, (2,))}), {"at": np.zeros(2)})
        'at: got float64 of shape (2,), expected float32 of shape (2,)'
    """
    where = f"{path}: " if path else ""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return _misfit_of_parts(space, value, path, where)
    if isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary):
        return _misfit_of_array(space, value, where)
    return "" if space.contains(value) else f"{where}got {_said(value)}, expected one of {space}"


def _misfit_of_parts(space: spaces.Dict | spaces.Tuple[Any], value: Any, path: str, where: str) -> str:
    named = isinstance(space, spaces.Dict)
    if not isinstance(value, Mapping if named else tuple):
        return f"{where}got {_said(value)}, expected {'a dict' if named else 'a tuple'}"
    parts: dict[Any, Any] = dict(space.spaces if isinstance(space, spaces.Dict) else enumerate(space.spaces))
    given: dict[Any, Any] = dict(value if named else enumerate(value))
    if set(given) != set(parts):
        return f"{where}got the parts {list(given)}, expected {list(parts)}"
    found = (misfit(part, given[key], f"{path}.{key}".lstrip(".")) for key, part in parts.items())
    return next(filter(None, found), "")


def _misfit_of_array(space: spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary, value: Any, where: str) -> str:
    expected = f"{space.dtype} of shape {space.shape}"
    if not isinstance(value, np.ndarray | np.generic):
        return f"{where}got {_said(value)}, expected an array, {expected}"
    if value.dtype != space.dtype or value.shape != space.shape:
        return f"{where}got {value.dtype} of shape {value.shape}, expected {expected}"
    array = np.asarray(value)
    if space.contains(array):
        return ""
    if isinstance(space, spaces.Box):
        for index in np.argwhere(~((array >= space.low) & (array <= space.high)))[:1]:
            at = tuple(index.tolist())
            element = f"element {list(at)} " if at else ""
            return f"{where}{element}is {array[at]}, expected {space.low[at]} to {space.high[at]}"
    return f"{where}got {_said(value)}, expected one of {space}"


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_copied(part) for part in value)
    return np.array(value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return all(_equal(one[key], other[key]) for key in other)
    if isinstance(one, tuple):
        return all(map(_equal, one, other))
    return bool(np.array(one).tobytes() == other.tobytes())


def _said(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype} of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
