"""Evaluation: what a policy earns over whole episodes, each row playing a share that is fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from puffer_core.acting import Acted, call_actor, make_actor
from puffer_core.arrays import Tree
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.contracts.policy import Agent
from puffer_core.errors import UnsupportedError

_INPUTS = frozenset({"observation", "action_mask", "global_state", "previous_action", "previous_reward"})


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. Standard deviations are over episodes, with the divisor `episodes`.

    Args:
        returns: undiscounted return of each episode, in the env's units, `[episodes]`.
        lengths: steps of each episode, `[episodes]`.
        seed: of the evaluation's envs and sampling.
        deterministic: whether the policy took the mode of its distribution.

    Example:
        >>> evaluation = Evaluation(np.array([1.0, 3.0]), np.array([10, 20]), seed=0, deterministic=True)
        >>> evaluation.mean_return, evaluation.std_return, evaluation.mean_length
        (2.0, 1.0, 15.0)
    """

    returns: Float[np.ndarray, "episodes"] = field(repr=False)
    lengths: Int[np.ndarray, "episodes"] = field(repr=False)
    seed: int
    deterministic: bool

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

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "mean_return": self.mean_return,
            "std_return": self.std_return,
            "mean_length": self.mean_length,
            "episodes": self.episodes,
            "seed": self.seed,
            "deterministic": self.deterministic,
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
) -> Evaluation:
    """Play whole episodes with fixed parameters; normaliser statistics among them stay as they are.

    Args:
        agent: its parameters are arrays of `backend`.
        backend: the engine that acts; NumPy is the fastest for small networks on a CPU.
        env: unbound, and nobody else's: it is bound and reset here, and left open. Each of its rows counts episodes
            of its own.
        episodes: how many, >= 1, shared out evenly over the rows.
        seed: of the env's reset and of sampling, 0..2**63-1.
        deterministic: take the mode of the policy's distribution instead of sampling.
        should_stop: asked before every step; True ends the evaluation.

    Raises:
        EvaluationStopped: `should_stop` said so.
        UnsupportedError: the policy reads an input that the env does not give.
    """
    player = _Player(agent, backend, env, seed, deterministic)
    rows = env.spec.rows
    left = shares(episodes, rows)
    returns, lengths = np.zeros(rows), np.zeros(rows, np.int64)
    finished: list[list[tuple[float, int]]] = [[] for _ in range(rows)]
    while left.any():
        if should_stop():
            raise EvaluationStopped
        reward, done = player.step()
        returns += reward
        lengths += 1
        for row in np.flatnonzero(done):
            if left[row]:
                left[row] -= 1
                finished[row].append((float(returns[row]), int(lengths[row])))
        returns[done] = 0.0
        lengths[done] = 0
    played = [episode for row in finished for episode in row]
    return Evaluation(
        np.array([episode[0] for episode in played], np.float64),
        np.array([episode[1] for episode in played], np.int64),
        seed=seed,
        deterministic=deterministic,
    )


class _Player:
    """Steps an env with a policy, one slot ahead and back again: nothing is kept but the present."""

    def __init__(self, agent: Agent, backend: Backend, env: VectorEnv, seed: int, deterministic: bool) -> None:
        spec = env.spec
        self._agent, self._backend, self._env = agent, backend, env
        self._actor = make_actor(agent.policy, backend, deterministic=deterministic)
        self._rng = np.random.default_rng(seed)
        self._slots = EnvBuffers.allocate(spec, 2)
        env.bind(self._slots)
        env.reset(seed)
        self._reset = np.ones(spec.rows, np.bool_)
        self._carry: Tree = backend.to_device(agent.policy.initial_carry(spec.rows))
        self._names = agent.policy.inputs | ({"action_mask"} if spec.action_mask else set())
        dtype = np.float32 if spec.action.dtype.kind == "f" else np.int64
        self._previous = {
            "previous_action": np.zeros((spec.rows, *spec.action.shape), dtype),
            "previous_reward": np.zeros(spec.rows, np.float32),
        }
        self._check_inputs()

    def _check_inputs(self) -> None:
        slots, spec = self._slots, self._env.spec
        absent = {name for name in self._names - set(self._previous) if getattr(slots, name, None) is None}
        if bad := sorted(absent | (self._names - _INPUTS)):
            raise UnsupportedError(f"the policy reads {', '.join(bad)}, which the env {spec.id} does not give")

    def step(self) -> tuple[Float[np.ndarray, "rows"], np.ndarray[Any, Any]]:
        """Act once in every row; gives rewards and where episodes ended."""
        acted = self._act()
        self._carry = acted["carry"]
        self._env.step(acted["env_action"], 1)
        slots = self._slots
        reward = slots.reward[1].copy()
        self._reset = slots.terminated[1] | slots.truncated[1]
        self._previous["previous_action"][...] = acted["action"]
        self._previous["previous_action"][self._reset] = 0
        self._previous["previous_reward"][...] = np.where(self._reset, 0.0, reward)
        slots.wrap()
        return reward, self._reset

    def _act(self) -> Acted:
        inputs = {name: self._input(name) for name in self._names}
        params, rng = self._agent.params, self._rng
        return call_actor(self._actor, self._backend, params, inputs, self._carry, self._reset, rng)

    def _input(self, name: str) -> np.ndarray[Any, Any]:
        if name in self._previous:
            return self._previous[name]
        value: np.ndarray[Any, Any] = getattr(self._slots, name)[0]
        return value[self._env.spec.row_env] if name == "global_state" else value
