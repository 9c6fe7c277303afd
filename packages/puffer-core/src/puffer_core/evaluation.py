"""Evaluation: what a policy earns over whole episodes, each row playing a share that is fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from puffer_core.alignment import aligned_zeros
from puffer_core.arrays import Tree
from puffer_core.checkpoints.reading import step_of
from puffer_core.collection.acting import Actor
from puffer_core.collection.policy_inputs import PolicyInputs
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.env import EnvBuffers, VectorEnv, VectorEnvSpec
from puffer_core.contracts.policy import Agent
from puffer_core.errors import EnvError
from puffer_core.statistics import mean_interval

MAX_STEPS = 10_000
"""Of an episode, unless the env's own limit is near or beyond: an env whose episodes never end is judged too."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. Standard deviations are over episodes, with the divisor `episodes`.

    Args:
        returns: undiscounted return of each episode, in the env's units, `[episodes]`.
        lengths: steps of each episode, `[episodes]`.
        seed: of the evaluation's envs and sampling.
        deterministic: whether the policy took the mode of its distribution.
        cut: episodes that were cut off because they did not end.
        checkpoint: whose policy it was; None during training.

    Example:
        >>> evaluation = Evaluation(np.array([1.0, 3.0]), np.array([10, 20]), seed=0, deterministic=True)
        >>> evaluation.mean_return, evaluation.std_return, evaluation.mean_length
        (2.0, 1.0, 15.0)
    """

    returns: Float[np.ndarray, "episodes"] = field(repr=False)
    lengths: Int[np.ndarray, "episodes"] = field(repr=False)
    seed: int
    deterministic: bool
    cut: int = 0
    checkpoint: Path | None = None

    @property
    def episodes(self) -> int:
        """How many episodes were played."""
        return len(self.returns)

    @property
    def mean_return(self) -> float:
        """Mean return of an episode."""
        return float(np.mean(self.returns))

    @property
    def std_return(self) -> float:
        """Standard deviation of the returns."""
        return float(np.std(self.returns))

    @property
    def mean_length(self) -> float:
        """Mean number of steps of an episode."""
        return float(np.mean(self.lengths))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean return over all episodes is, with 95 % confidence; None for fewer than 30 episodes.

        It is about chance in episodes; another seed of the whole training may give something else (`train_seeds`).
        """
        return mean_interval(self.returns) if np.isfinite(self.returns).all() else None

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "mean_return": self.mean_return,
            "std_return": self.std_return,
            "mean_length": self.mean_length,
            "episodes": self.episodes,
            "seed": self.seed,
            "deterministic": self.deterministic,
            "cut": self.cut,
            "interval_95": self.interval,
            **({"checkpoint": str(self.checkpoint), "step": step_of(self.checkpoint)} if self.checkpoint else {}),
        }


class EvaluationStopped(Exception):  # noqa: N818  it reports no error: it unwinds an evaluation that a signal ended
    """The evaluation was asked to stop before it was done."""


def shares(episodes: int, rows: int) -> Int[np.ndarray, "rows"]:
    """Episodes that each row plays; fixed beforehand, so that short episodes are not counted more often than long ones.

    Example:
        >>> shares(5, 3).tolist()
        [2, 2, 1]
    """
    return np.array([episodes // rows + (row < episodes % rows) for row in range(rows)], np.int64)


def evaluate(
    agent: Agent,
    backend: Backend,
    env: VectorEnv,
    *,
    episodes: int,
    seed: int,
    deterministic: bool = True,
    should_stop: Callable[[], bool] = bool,
    max_steps: int | None = None,
) -> Evaluation:
    """Play whole episodes with fixed parameters; normaliser statistics among them stay as they are.

    An episode that lost a transition is played again. A row whose agent does not act while the others play their
    episodes plays none; the others play its share.

    Args:
        agent: its parameters are arrays of `backend`.
        backend: the engine that acts; NumPy is the fastest for small networks on a CPU.
        env: unbound, and nobody else's: it is bound and reset here, and left open. Each of its rows counts episodes
            of its own.
        episodes: how many, >= 1, shared out evenly over the rows.
        seed: of the env's reset and of sampling, 0..2**63-1.
        deterministic: take the mode of the policy's distribution instead of sampling.
        should_stop: asked before every step; True ends the evaluation.
        max_steps: an episode that is not over by then is cut off, counts as it stands, and the row's next one begins in
            the midst of it. By default 10,000, or twice the env's own time limit where that is more.

    Raises:
        EvaluationStopped: `should_stop` said so.
        EnvError: the env failed, or no agent of it ever acted.
        UnsupportedError: the policy reads an input that the env does not give.
    """
    player = _Player(agent, backend, env, seed, deterministic)
    score = _Score(env.spec, episodes, max_steps or max(MAX_STEPS, 2 * (env.spec.max_episode_steps or 0)))
    while score.goes_on():
        if should_stop():
            raise EvaluationStopped
        score.add(player.step())
    return score.evaluation(seed, deterministic)


class _Step(NamedTuple):
    """What one step brought each row: its reward, whether its episode ended, whether the step counts."""

    reward: Float[np.ndarray, "rows"]
    done: Bool[np.ndarray, "rows"]
    active: Bool[np.ndarray, "rows"]


class _Score:
    """Follows the rows until each has played its share."""

    def __init__(self, spec: VectorEnvSpec, episodes: int, max_steps: int) -> None:
        self._id, self._max_steps, self._steps = spec.id, max_steps, 0
        self._left = shares(episodes, spec.rows)
        self._returns, self._lengths = np.zeros(spec.rows), np.zeros(spec.rows, np.int64)
        self._idle = np.zeros(spec.rows, np.int64)
        self._takes_part = np.zeros(spec.rows, np.bool_)
        self._finished: list[list[tuple[float, int]]] = [[] for _ in range(spec.rows)]
        self._cut = 0

    def goes_on(self) -> bool:
        """Whether a row has still to play. Those that no longer act hand what is left over to those that do.

        Raises:
            EnvError: no agent ever acted.
        """
        left, takes_part = self._left, self._takes_part
        if not left.any():
            return False
        if (takes_part & (left > 0)).any():
            return True
        if takes_part.any():
            owed = int(left.sum())
            left[...] = 0
            left[takes_part] = shares(owed, int(takes_part.sum()))
            return True
        if self._steps < self._max_steps:
            return True
        if not any(self._finished):
            raise EnvError(
                f"{self._id}: no agent was active for {self._steps} steps, so there is no episode to judge by"
            )
        return False

    def add(self, step: _Step) -> None:
        """Count one step of every row."""
        reward, done, active = step
        self._steps += 1
        self._returns += reward
        self._lengths += 1
        if active.all():
            self._takes_part[...] = True
            self._idle[...] = 0
        else:
            done = done & active
            self._returns[~active] = 0.0
            self._lengths[~active] = 0
            self._idle = np.where(active, 0, self._idle + 1)
            self._takes_part = (self._takes_part | active) & (self._idle < self._max_steps)
        overlong = ~done & (self._lengths >= self._max_steps)
        over = done | overlong
        for row in np.flatnonzero(over & (self._left > 0)):
            self._left[row] -= 1
            self._cut += int(overlong[row])
            self._finished[row].append((float(self._returns[row]), int(self._lengths[row])))
        self._returns[over] = 0.0
        self._lengths[over] = 0

    def evaluation(self, seed: int, deterministic: bool) -> Evaluation:
        """What was played, row by row."""
        played = [episode for row in self._finished for episode in row]
        returns, lengths = ([episode[i] for episode in played] for i in (0, 1))
        return Evaluation(
            np.array(returns, np.float64), np.array(lengths, np.int64), seed, deterministic, cut=self._cut
        )


class _Player:
    """Steps an env with a policy, one slot ahead and back again: nothing is kept but the present."""

    def __init__(self, agent: Agent, backend: Backend, env: VectorEnv, seed: int, deterministic: bool) -> None:
        spec = env.spec
        self._params, self._env = agent.params, env
        self._actor = Actor(agent.policy, backend, deterministic=deterministic)
        self._rng = np.random.default_rng(seed)
        self._slots = EnvBuffers.allocate(spec, 2, getattr(env, "allocate", aligned_zeros))
        self._inputs = PolicyInputs.of(agent.policy.inputs, spec, self._slots)
        self._inputs.reset[0] = True
        self._carry: Tree = backend.to_device(agent.policy.initial_carry(spec.rows))
        env.bind(self._slots)
        env.reset(seed)

    def step(self) -> _Step:
        """Act once in every row."""
        inputs, slots = self._inputs, self._slots
        acted = self._actor(self._params, inputs.at(0), self._carry, inputs.reset[0], self._rng)
        self._carry = acted["carry"]
        self._env.step(acted["env_action"], 1)
        inputs.follow(1, acted["action"])
        step = _Step(slots.reward[1].copy(), slots.terminated[1] | slots.truncated[1], slots.active[0].copy())
        inputs.wrap()
        return step
