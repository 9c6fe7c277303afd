"""Gymnasium's vector envs as they are: a batch goes in, a batch comes out, whatever their autoreset mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeAlias

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnvSpec
from puffer_core.errors import EnvError, PufferError, ShapeError, UsageError
from puffer_core.vector import checks
from puffer_core.vector.autoreset import Batch, Restart, restart_of, time_limit
from puffer_core.vector.batch_rows import BatchWriter, batched, sparse
from puffer_core.vector.checks import FAULTS
from puffer_core.vector.columns import RowError
from puffer_core.vector.making import layout_of
from puffer_core.vector.masks import KEY, shown
from puffer_core.vector.seeding import environment_seed
from puffer_core.vector.slots import Slot, slots_of

Said: TypeAlias = list[tuple[int, Mapping[str, Any]]]
"""Infos as (row, dict)."""


class GymnasiumVectorEnv:
    """A `VectorEnv` over one `gymnasium.vector.VectorEnv`, one row an environment.

    Ended rows begin again in the same step wherever the env allows it: `AutoresetMode.DISABLED`, `SAME_STEP`, and
    Gymnasium's own Sync- and AsyncVectorEnv without wrappers in any mode. Others that do `NEXT_STEP` spend a step on
    it: there the observation is the last one once more, and `active` is False, so the transition to the next episode
    never counts.

    Sync- and AsyncVectorEnv are seeded row by row as serial mode does it. Others take one seed for the batch, and may
    draw all rows from one generator: then what a row plays depends on the number of rows, and is the same every time.

    Args:
        make: gives the env; called once.
        num_envs: that the env must have.
        id: stands in the spec and in messages.

    Raises:
        EnvError: it could not be made, has another number of envs, or does not say its autoreset mode.
        UnsupportedError: a space that has no layout.

    Example:
        >>> env = GymnasiumVectorEnv(lambda: gymnasium.make_vec("CartPole-v1", 2), 2, id="CartPole-v1")
        >>> slots = EnvBuffers.allocate(env.spec, 3)
        >>> env.bind(slots)
        >>> env.reset(seed=0)
        >>> env.step(np.array([0, 1]), slot=1)
        []
        >>> slots.reward[1]
        array([1., 1.], dtype=float32)
        >>> env.close()
    """

    spec: VectorEnvSpec

    def __init__(self, make: Callable[[], Batch], num_envs: int, *, id: str) -> None:
        self._id = id
        self._num_envs = num_envs
        self._seeds: list[int] = []
        self._slots: list[Slot] = []
        self._pending: tuple[int, Any] | None = None
        self._over = np.zeros(num_envs, np.bool_)
        self._broken = False
        self._env: Batch | None = None
        with self._faults("init"):
            self._env = make()
        try:
            self._restart = self._check()
            self.spec = self._describe()
        except BaseException:
            with suppress(PufferError):  # it must not hide what went wrong first
                self.close()
            raise
        self._write = BatchWriter(self._shown, self.spec.observation, self.spec.action, num_envs)

    def _check(self) -> Restart:
        env = self._env
        if not isinstance(env, gymnasium.vector.VectorEnv):
            raise EnvError(f"{self._id}: got {env!r}, expected a gymnasium.vector.VectorEnv")
        if env.num_envs != self._num_envs:
            raise EnvError(f"{self._id}: the vector env has {env.num_envs} environments, expected {self._num_envs}")
        return restart_of(env, self._id)

    def _describe(self) -> VectorEnvSpec:
        env = self._open
        action = layout_of(self._id, "action", env.single_action_space)
        self._shown = shown(env.single_observation_space, action)
        masked = bool(self._shown.mask)
        if action.mask_size and not masked:
            masked = KEY in self._begun({"seed": 0})[1]
        return VectorEnvSpec.single_agent(
            id=self._id,
            num_envs=self._num_envs,
            observation=layout_of(self._id, "observation", self._shown.seen),
            action=action,
            action_mask=masked,
            no_snapshot="a gymnasium.vector.VectorEnv gives none",
            max_episode_steps=time_limit(env),
        )

    def bind(self, buffers: EnvBuffers) -> None:
        """As `VectorEnv.bind`."""
        checks.check_rows(self._id, self._num_envs, buffers)
        buffers.active[...] = True
        self._slots = slots_of(buffers, self.spec.observation)

    def reset(self, seed: int, first: int = 0) -> None:
        """As `VectorEnv.reset`. Row `i` of a Sync- or AsyncVectorEnv has a seed of its own, others that of `first`."""
        slot = self._slot(0)
        slot.terminated[...] = slot.truncated[...] = self._over[...] = False
        slot.active[...] = True
        slot.reward[...] = 0.0
        self._pending = None
        self._seeds = [environment_seed(seed, first + i) for i in range(self._num_envs)]
        by_row = isinstance(self._open.unwrapped, SyncVectorEnv | AsyncVectorEnv)
        seeds: Any = self._seeds if by_row else self._seeds[0]
        observation, infos = self._begun({"seed": seeds})
        with self._faults("reset"):
            self._write.observations(slot.leaves, observation)
            self._write.masks(slot.action_mask, observation, infos)

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """As `VectorEnv.step`."""
        self.send(action, slot)
        return self.recv()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Start a step: in the workers of an AsyncVectorEnv it goes on by itself, others do all of it here."""
        self._slot(slot, first=1)
        env, layout = self._open, self.spec.action
        actions = batched(layout, checks.own_actions(self._id, action, layout, self._num_envs))
        begin = env.step_async if type(env) is AsyncVectorEnv else env.step
        try:
            self._pending = slot, begin(actions)
        except FAULTS as error:
            self._fail("step", error)

    def recv(self) -> Infos:
        """Wait for the step that `send` started, and write its slot."""
        (slot, outcome), self._pending = checks.sent(self._id, self._pending), None
        env = self._open
        try:
            if type(env) is AsyncVectorEnv:
                outcome = env.step_wait()
            return self._write_outcome(self._slots[slot], outcome)
        except FAULTS as error:
            self._fail("step", error)

    def _write_outcome(self, slot: Slot, outcome: Any) -> Said:
        if complaint := checks.complaint_of_step(outcome):
            raise ShapeError(complaint)
        observation, reward, terminated, truncated, infos = outcome
        self._write.observations(slot.leaves, observation)
        self._write.rewards(slot.reward, reward)
        slot.terminated[:], slot.truncated[:] = terminated, truncated
        if self._restart == "next":
            return self._write_next_step(slot, observation, infos)
        done = slot.terminated | slot.truncated
        ended = np.flatnonzero(done)
        if not len(ended):
            self._write.masks(slot.action_mask, observation, infos)
            return sparse(infos, self._num_envs)
        if self._restart == "same":
            self._write.masks(slot.action_mask, observation, infos)
            return self._write_same_step(slot, infos, ended)
        said = sparse(infos, self._num_envs)
        self._write.masks(slot.action_mask, observation, infos, np.flatnonzero(~done))
        slot.final_observation[ended] = slot.observation[ended]
        begun, begun_infos = self._begun({"options": {"reset_mask": done}})
        self._write.rows(slot.leaves, begun, ended)
        self._write.masks(slot.action_mask, begun, begun_infos, ended)
        return said

    def _write_same_step(self, slot: Slot, infos: Mapping[str, Any], ended: np.ndarray[Any, Any]) -> Said:
        """The batch holds the first observations already; the last ones and their infos lie in the infos."""
        infos = dict(infos)
        has = infos.pop("_final_obs", np.ones(self._num_envs, np.bool_))
        last, last_infos = infos.pop("final_obs", None), infos.pop("final_info", {})
        missing = ended if last is None else ended[~np.asarray(has)[ended]]
        if len(missing):
            words = "an episode ended and info['final_obs'] is missing, expected its last observation"
            raise RowError(int(missing[0]), words)
        if isinstance(last, np.ndarray) and last.dtype == object:
            for row in ended:
                self._write.row(slot.final_leaves, int(row), last[row])
        else:
            self._write.rows(slot.final_leaves, last, ended)
        infos.pop("_final_info", None)
        said = dict(sparse(infos, self._num_envs))  # for ended rows: of the reset, and what wrappers say of the step
        for row, own in sparse({"step": last_infos}, self._num_envs):
            said[row] = {**said.get(row, {}), **(own["step"] or {})}
        return [(row, said[row]) for row in sorted(said) if said[row]]

    def _write_next_step(self, slot: Slot, observation: Any, infos: Mapping[str, Any]) -> Said:
        """Rows that were over have begun anew; rows that are over now lose the transition that comes next."""
        begun, done = self._over, (slot.terminated | slot.truncated) & ~self._over
        np.logical_not(done, out=slot.active)
        slot.reward[begun] = 0.0
        slot.terminated[begun] = slot.truncated[begun] = False
        if slot.action_mask is not None:
            self._write.masks(slot.action_mask, observation, infos, np.flatnonzero(~done))
            slot.action_mask[done] = True
        if done.any():
            slot.final_observation[done] = slot.observation[done]
        said = [(row, info) for row, info in sparse(infos, self._num_envs) if not begun[row]]
        self._over = done
        return said

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """A picture of environment 0, if it was made with `render_mode="rgb_array"`."""
        pictures: Any = None
        with self._faults("render"):
            pictures = self._open.render() if self._open.render_mode == "rgb_array" else None
        picture = pictures[0] if isinstance(pictures, tuple | list) and pictures else pictures
        return checks.picture_of(self._id, picture)

    def snapshot(self) -> State:
        """Not possible: the Gymnasium interface gives no access to an env's state."""
        raise checks.no_snapshot(self.spec)

    def restore(self, state: State) -> None:
        """Not possible either."""
        raise checks.no_snapshot(self.spec)

    def close(self) -> None:
        """Close the env. Safe to call twice, and after it failed."""
        env, self._env = self._env, None
        self._slots = []
        if isinstance(env, gymnasium.vector.VectorEnv):
            # The workers of one that failed may be dead or stuck: waiting for their answer would never end.
            dying = self._broken and isinstance(env.unwrapped, AsyncVectorEnv)
            with self._faults("close"):
                env.close(terminate=True) if dying else env.close()

    @property
    def _open(self) -> Batch:
        if self._env is None:
            raise UsageError(f"{self._id}: reset or step after close")
        return self._env

    def _slot(self, slot: int, *, first: int = 0) -> Slot:
        checks.check_slot(self._id, slot, len(self._slots), first)
        return self._slots[slot]

    def _begun(self, arguments: dict[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        begun: tuple[Any, Mapping[str, Any]]
        with self._faults("reset"):
            begun = self._open.reset(**arguments)
            if complaint := checks.complaint_of_reset(begun):
                raise ShapeError(complaint)
        return begun

    @contextmanager
    def _faults(self, phase: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            self._fail(phase, error)

    def _fail(self, phase: str, error: BaseException) -> NoReturn:
        """Say which environment failed where that is known, when, how it was seeded and why."""
        self._broken = True
        if isinstance(error, PufferError) and not isinstance(error, ShapeError):
            raise error
        row = error.row if isinstance(error, RowError) else None
        who = f"a batch of {self._num_envs}" if row is None else f"environment {row} of {self._num_envs}"
        seed = self._seeds[row or 0] if self._seeds else None
        raise checks.env_error(self._id, who, phase, checks.why(error), seed=seed) from error
