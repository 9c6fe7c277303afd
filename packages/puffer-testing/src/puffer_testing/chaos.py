"""ChaosEnv: an environment that can prove what belongs together, and fails where, when and how it is told.

Its observation carries the seed, the number of the episode, the step, and the action that led there; reward and flags
follow from those by `chaos_outcome`. So whoever holds a row can tell whether its parts are of one and the same step.
"""

from __future__ import annotations

import os
import time
from typing import Any, SupportsFloat, TypeAlias

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from puffer_core.errors import UsageError, did_you_mean
from puffer_testing.faults import ACTS, OBSERVATIONS, OUTCOMES

Numbers: TypeAlias = "np.ndarray[Any, Any]"

PHASES = ("init", "reset", "step", "close")
_LARGEST = 2.0**31


def chaos_outcome(numbers: Numbers, length: int = 10) -> tuple[float, bool, bool]:
    """Reward, terminated and truncated of the step that led to an observation of `ChaosEnv`.

    Args:
        numbers: seed, episode, step and 1 + the last action, `[4]`, as `ChaosEnv` observes them.
        length: the env's option; steps of its longest episode.

    Example:
        >>> chaos_outcome(np.array([3.0, 0.0, 5.0, 1.0]))
        (26.0, True, False)
    """
    seed, episode, step = (int(number) for number in numbers[:3])
    if step == 0:
        return 0.0, False, False
    last = 2 + (seed + 3 * episode) % (length - 1)
    over = step == last
    reward = float((7 * seed + 101 * episode + step) % 2**16)
    return reward, over and episode % 2 == 0, over and episode % 2 == 1


class ChaosEnv(gymnasium.Env[Any, Any]):
    """Counts; and fails in one way, in one phase, where all that is said of the place is true.

    Observation: `[seed, episode, step, 1 + last action]`, float64, `[4]`, all in 0..2**31. Episodes last 2 to `length`
    steps; even ones terminate, odd ones are truncated. `chaos_outcome` gives reward and flags.

    Args:
        fault: a way to fail, of `puffer_testing.faults`: ACTS in every phase, OBSERVATIONS in `reset` and `step`,
            OUTCOMES in `step`. Empty: it never fails.
        phase: `init`, `reset`, `step` or `close`.
        step: fails at this step of an episode, counted from 1; None: at every.
        episode: fails in this episode, counted from 0 since the last seed; None: in every.
        seed: fails in the env that was last seeded so; None: in every. `environment_seed(run_seed, index)` of
            `puffer_core.vector` says what environment `index` is seeded with.
        times: fails so many times at most; None: always. Counted for each env by itself, unless there is a `marker`.
        marker: start of a path; each failure makes a file, `marker.0`, `marker.1` ..., that holds pid and time
            (`time.monotonic_ns()`). `times` then counts over all processes and restarts.
        length: steps of the longest episode, >= 2.
        actions: number of choices, >= 1.
        cost_us: CPU time that a step takes, in microseconds.

    Raises:
        UsageError: no such fault or phase, or a fault that the phase does not have.

    Example:
        >>> env = ChaosEnv(fault="raise", step=2)
        >>> env.reset(seed=3)[0]
        array([3., 0., 0., 0.])
        >>> env.step(5)
        (array([3., 0., 1., 6.]), 22.0, False, False, {})
        >>> env.step(0)
        Traceback (most recent call last):
        RuntimeError: chaos was asked for
    """

    def __init__(
        self,
        *,
        fault: str = "",
        phase: str = "step",
        step: int | None = None,
        episode: int | None = None,
        seed: int | None = None,
        times: int | None = None,
        marker: str = "",
        length: int = 10,
        actions: int = 8,
        cost_us: float = 0.0,
    ) -> None:
        _check(fault, phase)
        self.action_space = Discrete(actions)
        self.observation_space: gymnasium.Space[Any] = Box(0.0, _LARGEST, (4,), np.float64)
        self._fault, self._phase, self._times, self._marker = fault, phase, times, marker
        self._place = {"step": step, "episode": episode, "seed": seed}
        self._length = length
        self._cost_us = cost_us
        self._now = {"step": 0, "episode": 0, "seed": 0}
        self._seeded = False
        self._failures = 0
        self._act("init")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode; with a seed, the first."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self._now = {"step": 0, "episode": 0, "seed": seed or 0}
            self._seeded = True
        else:
            self._now = {**self._now, "step": 0, "episode": self._now["episode"] + 1}
        fails = self._act("reset")
        return self._observed(self._numbers(None), wrong=fails), {}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Count one further."""
        self._now["step"] += 1
        _spend(self._cost_us)
        fails = self._act("step")
        numbers = self._numbers(action)
        reward, terminated, truncated = chaos_outcome(numbers, self._length)
        said: dict[str, Any] = {"reward": reward, "info": {}}
        if fails:
            said.update(OUTCOMES.get(self._fault, {}))
        return self._observed(numbers, wrong=fails), said["reward"], terminated, truncated, said["info"]

    def close(self) -> None:
        """Nothing is held."""
        self._act("close")

    def _numbers(self, action: Any) -> Numbers:
        now = self._now
        led_here = 0 if action is None else 1 + int(action)
        return np.array([now["seed"], now["episode"], now["step"], led_here], np.float64)

    def _observed(self, numbers: Numbers, *, wrong: bool) -> Any:
        return OBSERVATIONS[self._fault](numbers) if wrong and self._fault in OBSERVATIONS else numbers

    def _act(self, phase: str) -> bool:
        """Whether the fault belongs here; faults that are acts are done at once."""
        if phase != self._phase or not self._fault or not self._is_here() or not self._count():
            return False
        ACTS.get(self._fault, _nothing)()
        return True

    def _is_here(self) -> bool:
        wanted = {key: value for key, value in self._place.items() if value is not None}
        if self._phase == "init":
            return True  # before there is a seed, an episode or a step
        if self._phase != "step":
            wanted.pop("step", None)
        return all(self._now[key] == value for key, value in wanted.items())

    def _count(self) -> bool:
        if not self._marker:
            self._failures += 1
            return self._times is None or self._failures <= self._times
        number = 0
        while self._times is None or number < self._times:
            try:
                file = os.open(f"{self._marker}.{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                number += 1
                continue
            os.write(file, f"{os.getpid()} {time.monotonic_ns()}".encode())
            os.close(file)
            return True
        return False


class ChaosDictEnv(ChaosEnv):
    """`ChaosEnv` with a nested observation, every part of which carries the counter.

    Observation: `numbers` as of `ChaosEnv`; `clock.step`, one choice; `picture`, `[3, 3]` uint8 of the step modulo 256.

    Example:
        >>> ChaosDictEnv().reset(seed=3)[0]["clock"]
        {'step': np.int64(0)}
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        picture, clock = Box(0, 255, (3, 3), np.uint8), Discrete(self._length + 1)
        self.observation_space = Dict(numbers=self.observation_space, clock=Dict(step=clock), picture=picture)

    def _observed(self, numbers: Numbers, *, wrong: bool) -> Any:
        step = int(numbers[2])
        parts = {"clock": {"step": np.int64(step)}, "picture": np.full((3, 3), step % 256, np.uint8)}
        observed = super()._observed(numbers, wrong=wrong)
        return parts if wrong and self._fault == "keys" else {"numbers": observed, **parts}


def _check(fault: str, phase: str) -> None:
    if phase not in PHASES:
        raise UsageError(f"phase is {phase!r}", remedy=did_you_mean(phase, PHASES))
    known = [*ACTS]
    known += OBSERVATIONS if phase in ("reset", "step") else []
    known += OUTCOMES if phase == "step" else []
    if fault and fault not in known:
        raise UsageError(f"fault is {fault!r}, which {phase} does not have", remedy=did_you_mean(fault, known))


def _spend(microseconds: float) -> None:
    """CPU time, not wall time: on a busy machine a step then costs what it costs."""
    if microseconds:
        until = time.thread_time_ns() + int(1000 * microseconds)
        while time.thread_time_ns() < until:
            pass


def _nothing() -> None:
    """What faults that show in a value do."""
