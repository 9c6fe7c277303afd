"""The state of one environment of somebody else's: what it gives itself, and what its wrappers and generator hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from inspect import getattr_static
from typing import Any

import gymnasium
import numpy as np

from puffer_core.checkpoints.statefile import encode
from puffer_core.contracts.checkpointable import State
from puffer_core.errors import CheckpointError, PufferError
from puffer_core.quoting import error_text


@dataclass(frozen=True)
class Wrappers:
    """What is known of a library's wrappers.

    Args:
        bases: what a wrapper is an instance of; it has the next object as `env`.
        package: their modules start with this.
        kept: class name to the attributes that are its state: JSON values.
        harmless: class names of those without state, or with none that an observation, reward or flag depends on.
    """

    bases: tuple[type, ...]
    package: str
    kept: Mapping[str, tuple[str, ...]]
    harmless: Collection[str]

    def state_of(self, wrapper: object) -> tuple[str, ...] | None:
        """The attributes to keep; None where its state is not known. A class derived from a known one is unknown."""
        kind = type(wrapper)
        if not kind.__module__.startswith(self.package):
            return None
        return self.kept.get(kind.__name__, () if kind.__name__ in self.harmless else None)


GYMNASIUM = Wrappers(
    bases=(gymnasium.Wrapper,),
    package="gymnasium.wrappers",
    kept={"TimeLimit": ("_elapsed_steps",), "OrderEnforcing": ("_has_reset",), "TimeAwareObservation": ("timesteps",)},
    harmless=frozenset({
        "AddRenderObservation", "AddWhiteNoise", "ClipAction", "ClipReward", "DiscretizeAction",
        "DiscretizeObservation", "DtypeObservation", "FilterObservation", "FlattenObservation",
        "GrayscaleObservation", "HumanRendering", "ObstructView", "PassiveEnvChecker", "RecordEpisodeStatistics",
        "RecordVideo", "RenderCollection", "RepeatAction", "RescaleAction", "RescaleObservation",
        "ReshapeObservation", "ResizeObservation",
    }),
)  # fmt: skip
"""AddWhiteNoise draws from the env's own generator, which is kept. Nobody reads what RecordEpisodeStatistics counts."""


class EnvState:
    """Gives and takes back the state of one environment, where it has `get_state` and `set_state`.

    The outermost object that has them speaks for everything within. Wrappers around it must be known.

    Args:
        env: the environment in its wrappers.
        wrappers: those that are known.

    Example:
        >>> EnvState(gymnasium.make("CartPole-v1")).missing
        'CartPoleEnv has no get_state and set_state'
    """

    def __init__(self, env: Any, wrappers: Wrappers = GYMNASIUM) -> None:
        self._speaker: Any = None
        self._kept: list[tuple[Any, tuple[str, ...]]] = []
        self.missing = ""
        """Why there is no state to be had, in words; empty where there is."""
        for layer in _layers(env, wrappers.bases):
            self._innermost = layer
            if self._speaker is None and _speaks(layer):
                self._speaker = layer
                continue
            attributes = wrappers.state_of(layer)
            if attributes:
                self._kept.append((layer, attributes))
            unknown = attributes is None and isinstance(layer, wrappers.bases)
            if unknown and self._speaker is None and not self.missing:
                self.missing = f"the wrapper {type(layer).__name__} may have a state and has no get_state and set_state"
        if self._speaker is None:
            self.missing = f"{type(self._innermost).__name__} has no get_state and set_state"

    def try_out(self, begin: Callable[[], Any]) -> None:
        """See whether what it gives can be saved; `missing` says it if not.

        Args:
            begin: resets the environment.
        """
        if self.missing:
            return
        begin()
        name = type(self._speaker).__name__
        try:
            given = self._speaker.get_state()
            if not isinstance(given, dict):
                self.missing = f"get_state of {name} gives a {type(given).__name__}, expected a dict"
            else:
                encode(given)
        except CheckpointError as error:
            self.missing = f"get_state of {name} gives what cannot be saved: {error.message}"
        except (Exception, SystemExit) as error:  # noqa: BLE001  it may be something else of that name
            self.missing = f"get_state of {name} raised {type(error).__name__}"

    def get(self) -> State:
        """Everything that the environment's future depends on, but for the actions; a copy."""
        found = _generator(self._innermost)
        kept = [{name: getattr(layer, name) for name in names} for layer, names in self._kept]
        return {
            "env": deepcopy(self._speaker.get_state()),
            "wrappers": [type(layer).__name__ for layer, _ in self._kept],
            "kept": kept,
            "generator": None if found is None else json.dumps(found[1].bit_generator.state, default=np.ndarray.tolist),
        }

    def set(self, state: State) -> None:
        """Go back to what `get` gave.

        Raises:
            CheckpointError: it is of other wrappers, or the environment does not take it.
        """
        here = [type(layer).__name__ for layer, _ in self._kept]
        if state["wrappers"] != here:
            raise CheckpointError(f"the state is of an environment in {state['wrappers']}, this one is in {here}")
        try:
            self._speaker.set_state(deepcopy(state["env"]))
        except (Exception, SystemExit) as error:
            why = error.message if isinstance(error, PufferError) else error_text(error)
            raise CheckpointError(f"set_state of {type(self._speaker).__name__} refused it: {why}") from error
        for (layer, _), kept in zip(self._kept, state["kept"], strict=True):
            for name, value in kept.items():
                setattr(layer, name, value)
        if state["generator"] is not None:
            _move_generator(self._innermost, json.loads(state["generator"]))


def _layers(env: Any, bases: tuple[type, ...]) -> Iterator[Any]:
    """The environment and everything that it wraps, from the outside in."""
    while isinstance(env, bases):
        yield env
        env = env.env  # type: ignore[attr-defined]
    yield env


def _speaks(layer: object) -> bool:
    """Whether it has both methods itself: a wrapper may pass on names that it does not know."""
    return all(callable(getattr_static(layer, name, None)) for name in ("get_state", "set_state"))


def _generator(env: object) -> tuple[str, np.random.Generator] | None:
    """The env's own generator, and what the attribute is called: Gymnasium hides it, PettingZoo's envs do not."""
    for name in ("_np_random", "np_random"):
        generator = vars(env).get(name)
        if isinstance(generator, np.random.Generator):
            return name, generator
    return None


def _move_generator(env: object, state: dict[str, Any]) -> None:
    """In place where possible: the env may hold it elsewhere too."""
    name, generator = _generator(env) or ("_np_random", None)
    kind = state["bit_generator"]
    if generator is None or type(generator.bit_generator).__name__ != kind:
        made = getattr(np.random, kind, None)
        if made is None:
            raise CheckpointError(f"the environment's generator is a {kind}, which NumPy does not have")
        generator = np.random.Generator(made())
        setattr(env, name, generator)
    generator.bit_generator.state = state
