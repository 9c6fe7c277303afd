"""Environments with bad manners, and what a run needs beside them. Subprocesses import this module by its name."""

from __future__ import annotations

import _signal
import os
import signal
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_testing.loading import load_module

parts = load_module(Path(__file__).with_name("parts.py"), "guest_parts")


class Learner(parts.Search):  # type: ignore[misc,name-defined]
    """A trainer without a model of its options, as `py:` targets are."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(parts.SearchConfig(), context)


class Policy(parts.Linear):  # type: ignore[misc,name-defined]
    """The same of a policy."""

    def __init__(self, config: Any, interface: Any) -> None:
        super().__init__(parts.LinearConfig(), interface)


class Guest(gymnasium.Env[Any, Any]):
    """Episodes of five steps, whatever is done."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self) -> None:
        self.behave("init")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.behave("reset")
        self.steps = 0
        return self.look(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.behave("step")
        self.steps += 1
        return self.look(), float(action), self.steps == 5, False, {}

    def close(self) -> None:
        self.behave("close")

    def look(self) -> Any:
        return np.full(2, self.steps / 5, np.float32)

    def behave(self, phase: str) -> None:
        """What the subclasses do at every moment."""


class Talker(Guest):
    """Prints, by Python and past it, and leaves the working directory."""

    def behave(self, phase: str) -> None:
        print(f"talker: {phase}")
        os.write(1, f"talker, past Python: {phase}\n".encode())
        os.chdir("/")


class Deaf(Guest):
    """Installs handlers that would end the process, or keep it from ending; then is told to stop."""

    count = 0

    def behave(self, phase: str) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda *_: sys.exit(7))
        if phase == "init":
            for signum in (signal.SIGINT, signal.SIGTERM):
                _signal.signal(signum, int(signal.SIG_IGN))  # as a C library does
        Deaf.count += phase == "step"
        if phase == "step" and Deaf.count == 10:
            os.kill(os.getpid(), int(os.environ["STOP_BY"]))


class Failing(Guest):
    """Raises where it is told to."""

    def __init__(self, fails_in: str = "init", speed: float = 1.0) -> None:
        self.fails_in = fails_in
        super().__init__()

    def behave(self, phase: str) -> None:
        if phase == self.fails_in:
            raise RuntimeError(f"no {phase} today")


class Missing(Guest):
    """Needs a package that nobody has."""

    def behave(self, phase: str) -> None:
        import no_such_simulator  # type: ignore[import-not-found]  # noqa: F401


class Liar(Guest):
    """Gives something else than its spaces promise."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__()

    def look(self) -> Any:
        lies = {"shape": np.zeros(3, np.float32), "dtype": np.array(["a", "b"]), "hole": np.full(2, np.nan, np.float32)}
        return lies.get(self.what)


class Lost(Guest):
    """Earns no number."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        return (self.look(), float("nan"), *super().step(action)[2:])


class Alone(Guest):
    """Has no agents."""

    observation_space = spaces.Tuple([])  # type: ignore[assignment]
    action_space = spaces.Tuple([])  # type: ignore[assignment]


class Mute(Guest):
    """Has nothing to see."""

    observation_space = spaces.Dict({})  # type: ignore[assignment]


def several(num_envs: int) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    return gymnasium.vector.SyncVectorEnv([Guest] * num_envs)


def always_two() -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    return several(2)
