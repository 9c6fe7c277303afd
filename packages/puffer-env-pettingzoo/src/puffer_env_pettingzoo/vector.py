"""Multi-agent environments, stepped one after another in this process, as one vector env: one row an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnvSpec
from puffer_core.errors import CheckpointError, EnvError, PufferError
from puffer_core.vector import checks, environment_seed
from puffer_core.vector.checks import FAULTS
from puffer_core.vector.parting import environments_of, seed_of, seeded
from puffer_env_pettingzoo.description import describe
from puffer_env_pettingzoo.errors import BrokenEnvError
from puffer_env_pettingzoo.game import Game
from puffer_env_pettingzoo.team import Team, TeamEnv

__all__ = ["AgentsVectorEnv", "TeamEnv"]


class AgentsVectorEnv:
    """A `VectorEnv` over `num_envs` environments of several agents, one row for each of `possible_agents`.

    A row is active while its agent lives. Of a dead or absent agent, observation and reward are 0 and every action is
    allowed. When no agent is left, the environment is reset within the same step. What it says of agents that are over
    is not read. Environment 0 is reset once while this is built, to see whether there are masks and a state.

    Args:
        make: gives a new environment: a `pettingzoo.ParallelEnv`, `Turns` or `TupleAgents`; called `num_envs` times.
        num_envs: >= 1.
        id: stands in the spec and in messages.
        global_state: whether `state()` is written as the global state; None: if there is one, and it is no picture.

    Raises:
        EnvError: an environment could not be made, has no agents, or differs from the first.
        UnsupportedError: spaces that have no layout or none in common, or a global state that there is not.

    Example:
        >>> from puffer_env_pettingzoo.making import make
        >>> env = make(1, env_id="classic/tictactoe_v3")
        >>> slots = EnvBuffers.allocate(env.spec, 3)
        >>> env.bind(slots)
        >>> env.reset(seed=0)
        >>> env.step(np.array([4, 0]), slot=1)  # the centre; player_2 waits
        []
        >>> slots.action_mask[1].sum(axis=-1), slots.active[1]
        (array([1, 8]), array([ True, True]))
        >>> env.close()
    """

    spec: VectorEnvSpec

    def __init__(
        self, make: Callable[[], TeamEnv], num_envs: int, *, id: str, global_state: bool | None = None
    ) -> None:
        self._id = id
        self._num_envs = num_envs
        self._seeds: list[int | None] = [None] * num_envs
        self._seed = self._first = 0
        self._infos: list[tuple[int, Mapping[str, Any]]] | None = None
        self._slots = 0
        self._envs: list[TeamEnv] = []
        try:
            for i in range(num_envs):
                self._envs.append(self._guarded(i, "init", make))
                if i == 0:
                    self._team = self._guarded(0, "init", lambda: Team.of(self._envs[0]))
                else:
                    self._guarded(i, "init", lambda: self._team.check_same(self._envs[-1], self._envs[0]))
            self.spec = self._guarded(
                0, "reset", lambda: describe(self._envs[0], self._team, id, num_envs, global_state)
            )
            self._games = [Game(env, self._team, self.spec.global_state) for env in self._envs]
            self._games[0].kept.try_out(lambda: self._guarded(0, "reset", partial(self._envs[0].reset, seed=0)))
        except BaseException:
            self.close()
            raise
        missing = next((game.kept.missing for game in self._games if game.kept.missing), "")
        self.spec = replace(self.spec, snapshot=not missing, no_snapshot=missing)

    def bind(self, buffers: EnvBuffers) -> None:
        """Take the slots to write into; they stay the caller's.

        Raises:
            ShapeError: they have not this env's rows.
        """
        checks.check_rows(self._id, self.spec.rows, buffers)
        agents = len(self._team.role)
        for i, game in enumerate(self._games):
            game.bind(buffers.part(slice(i * agents, (i + 1) * agents), slice(i, i + 1)))
        self._slots = buffers.slots

    def reset(self, seed: int, first: int = 0) -> None:
        """Start every environment anew and write slot 0; environment `i` gets `environment_seed(seed, first + i)`.

        Raises:
            EnvError: an environment raised, has no agents, or gave what does not fit.
        """
        checks.check_slot(self._id, 0, self._slots)
        self._infos = None
        self._seed, self._first = seed, first
        self._seeds = [environment_seed(seed, first + i) for i in range(self._num_envs)]
        for i, game in enumerate(self._games):
            try:
                game.reset(self._seeds[i], 0)  # type: ignore[arg-type]
            except FAULTS as error:
                self._fail(i, game.phase, error)

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """`send`, then `recv`.

        Args:
            action: one action a row, in the action space's own numbering; those of rows that are not active, or wait
                for their turn, are ignored.
            slot: the slot to write, in 1..slots-1.

        Raises:
            EnvError: an environment raised, or broke its interface; names it, its seed, the agent and the cause.
            ShapeError: `action` has not one action a row, or floats for choices; or no such slot is bound.
        """
        self.send(action, slot)
        return self.recv()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Do the whole step: nothing here could go on in the background."""
        checks.check_slot(self._id, slot, self._slots, 1)
        actions = checks.own_actions(self._id, action, self.spec.action, self.spec.rows)
        agents = len(self._team.role)
        said: list[tuple[int, Mapping[str, Any]]] = []
        for i, game in enumerate(self._games):
            try:
                infos = game.step(actions[i * agents : (i + 1) * agents], slot)
            except FAULTS as error:
                self._fail(i, game.phase, error)
            said += [(i * agents + row, info) for row, info in infos]
        self._infos = said

    def recv(self) -> Infos:
        """The infos of the step that `send` made.

        Raises:
            UsageError: nothing was sent.
        """
        infos, self._infos = self._infos, None
        return checks.sent(self._id, infos)

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """A picture of environment 0, if it was made with `render_mode="rgb_array"`.

        Raises:
            UnsupportedError: it was not.
        """
        env = self._envs[0]
        silent = getattr(getattr(env, "unwrapped", env), "render_mode", "unknown") is None  # it would warn
        picture = None if silent else self._guarded(0, "render", env.render)
        return checks.picture_of(self._id, picture)

    def snapshot(self) -> State:
        """The state of every environment, `{"environments": {number: state}}`.

        Raises:
            EnvError: the `get_state` of one raised.
            UnsupportedError: `spec.snapshot` is False.
        """
        if not self.spec.snapshot:
            raise checks.no_snapshot(self.spec)
        states = {
            str(i): {"seed": self._seeds[i], **self._guarded(i, "get_state", game.get_state)}
            for i, game in enumerate(self._games)
        }
        return {"environments": states, **seeded(self._seed, self._first)}

    def restore(self, state: State) -> None:
        """Go back to a `snapshot`. Every environment is reset before it is given its state.

        Raises:
            CheckpointError: it is of other environments, or one of them does not take it.
            EnvError: the reset of one raised.
            UnsupportedError: `spec.snapshot` is False.
        """
        if not self.spec.snapshot:
            raise checks.no_snapshot(self.spec)
        states = environments_of(self._id, state, self._num_envs)
        self._infos = None
        self._seed, self._first = seed_of(state)
        for i, (game, own) in enumerate(zip(self._games, states, strict=True)):
            self._seeds[i] = own["seed"]
            self._guarded(i, "reset", partial(game.env.reset, seed=own["seed"]))
            try:
                game.set_state(own)
            except (CheckpointError, BrokenEnvError) as error:
                what = str(error) if isinstance(error, BrokenEnvError) else checks.why(error)
                raise CheckpointError(f"{self._id}: environment {self._first + i}: {what}") from error

    def close(self) -> None:
        """Close every environment, also when one of them raises; then raise for the first that did. Safe to call twice.

        Raises:
            EnvError: an environment's `close` raised.
        """
        envs, self._envs = self._envs, []
        self._slots = 0
        checks.close_all(partial(self._guarded, i, "close", env.close) for i, env in enumerate(envs))

    def _guarded(self, i: int, phase: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except FAULTS as error:
            self._fail(i, phase, error)

    def _fail(self, i: int, phase: str, error: BaseException) -> NoReturn:
        """Say which environment failed, when, how it was seeded and why; what is already said passes through."""
        if isinstance(error, PufferError) and not isinstance(error, EnvError):
            raise error
        what = str(error) if isinstance(error, BrokenEnvError) else checks.why(error)
        who, seed = f"environment {self._first + i}", self._seeds[i]
        raise checks.env_error(self._id, who, phase, what, seed=seed, alone=True) from error
