"""Serial mode: single Gymnasium envs, stepped one after another in this process, as one vector env."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn, TypeAlias

import gymnasium
import numpy as np
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnvSpec
from puffer_core.errors import CheckpointError, EnvError, PufferError
from puffer_core.vector import checks
from puffer_core.vector.checks import FAULTS
from puffer_core.vector.columns import RowError
from puffer_core.vector.env_state import EnvState
from puffer_core.vector.making import layout_of
from puffer_core.vector.masks import KEY, shown
from puffer_core.vector.parting import environments_of, seed_of, seeded
from puffer_core.vector.rows import RowWriter
from puffer_core.vector.seeding import environment_seed
from puffer_core.vector.slots import Slot, slots_of

Env: TypeAlias = "gymnasium.Env[Any, Any]"

_Outcomes: TypeAlias = tuple[list[Any], list[Any], list[Any], list[tuple[int, Any, Any]]]
"""Observations, rewards and infos, one an env; and of the episodes that ended row, terminated and truncated."""

_WELL_FORMED: tuple[Any, ...] = (None, 0.0, False, False, {})


class SerialVectorEnv:
    """A `VectorEnv` over `num_envs` objects of `gymnasium.Env`, one row each.

    Action masks stand under the key `"action_mask"` of a Dict observation, and are then taken out of it; or of the
    info: an env that puts one into the info of its `reset` must do so in every info. To find out, environment 0 is
    reset once while this is built, if its actions are choices. Infos are those of `step`; those of `reset` are read
    for the mask only.

    Envs that have `get_state` and `set_state` are saved and restored (`EnvState`); to see whether what they give can be
    saved, environment 0 is asked once, after a reset.

    A nested action reaches an env as dicts and tuples, its arrays are the env's own.

    Args:
        make: gives a new `gymnasium.Env`; called `num_envs` times.
        num_envs: >= 1.
        id: stands in the spec and in messages.
        first: the number that environment 0 has in messages, where this is a part of a batch.
        total: environments of the whole batch.

    Raises:
        EnvError: an env could not be made, or differs in its spaces from the first.
        UnsupportedError: a space that has no layout.

    Example:
        >>> env = SerialVectorEnv(lambda: gymnasium.make("CartPole-v1"), 2, id="CartPole-v1")
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

    def __init__(self, make: Callable[[], Env], num_envs: int, *, id: str, first: int = 0, total: int = 0) -> None:
        self._id = id
        self._first, self._total = first, total
        self._num_envs = num_envs
        self._seeds: list[int | None] = [None] * num_envs
        self._seed = 0
        self._note: Callable[[int], Any] | None = None
        self._slots: list[Slot] = []
        self._infos: list[tuple[int, Mapping[str, Any]]] | None = None
        self._envs: list[Env] = []
        try:
            for i in range(num_envs):
                self._envs.append(self._guarded(i, "init", make))
                self._check_spaces(i)
            self.spec = self._describe()
        except BaseException:
            with suppress(PufferError):  # it must not hide what went wrong first
                self.close()
            raise
        self._steps = [env.step for env in self._envs]
        self._action_shape = (num_envs, *self.spec.action.shape)
        self._action_dtype = self.spec.action.dtype
        self._gives_scalars = not self.spec.action.is_nested and self.spec.action.kind == "discrete"
        self._write = RowWriter(self._shown, self.spec.observation, self.spec.action, self.spec.action_mask)

    def _describe(self) -> VectorEnvSpec:
        env = self._envs[0]
        action = layout_of(self._id, "action", env.action_space)
        self._shown = shown(env.observation_space, action)
        observation = layout_of(self._id, "observation", self._shown.seen)
        self._states = [EnvState(env) for env in self._envs]
        self._states[0].try_out(lambda: self._begin_episode(0, 0))
        missing = next((state.missing for state in self._states if state.missing), "")
        masked = bool(self._shown.mask)
        if action.mask_size and not masked:
            _, info = self._begin_episode(0, 0)
            masked = KEY in info
        return VectorEnvSpec.single_agent(
            id=self._id,
            num_envs=self._num_envs,
            observation=observation,
            action=action,
            action_mask=masked,
            snapshot=not missing,
            no_snapshot=missing,
            max_episode_steps=env.spec.max_episode_steps if env.spec else None,
        )

    def _check_spaces(self, i: int) -> None:
        for name in ("observation_space", "action_space"):
            first, own = (getattr(env, name, None) for env in (self._envs[0], self._envs[i]))
            if not isinstance(own, gymnasium.Space):
                raise EnvError(f"{self._id}: {name} is {own!r}, expected a gymnasium.Space")
            if own != first:
                raise EnvError(
                    f"{self._id}: environment {self._first + i} has {name} {own}, environment {self._first} has {first}"
                )

    def watch(self, note: Callable[[int], Any]) -> None:
        """Have `note(i)` called before environment `i` steps, and `note(-1 - i)` before it is reset."""
        self._note = note
        self._steps = [partial(_noted, note, i, env.step) for i, env in enumerate(self._envs)]

    def bind(self, buffers: EnvBuffers) -> None:
        """As `VectorEnv.bind`."""
        checks.check_rows(self._id, self._num_envs, buffers)
        buffers.active[...] = True
        self._slots = slots_of(buffers, self.spec.observation)

    def reset(self, seed: int, first: int = 0) -> None:
        """As `VectorEnv.reset`; environment `i` gets `environment_seed(seed, first + i)`."""
        slot = self._slot(0)
        slot.terminated[...] = slot.truncated[...] = False
        self._infos = None
        self._seed, self._first = seed, first
        self._seeds = [environment_seed(seed, first + i) for i in range(self._num_envs)]
        try:
            begun = [self._begin_episode(i, seed) for i, seed in enumerate(self._seeds)]
            observations, infos = zip(*begun, strict=True)
            self._write.step(slot, observations, [0.0] * self._num_envs, infos)
        except RowError as error:
            self._fail(error.row, "reset", error)

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """As `VectorEnv.step`."""
        self.send(action, slot)
        return self.recv()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Do the whole step: nothing here could go on in the background."""
        views = self._slot(slot, first=1)
        try:
            self._infos = self._write_outcomes(views, self._play(self._own_actions(action)))
        except RowError as error:
            self._fail(error.row, "step", error)

    def _play(self, actions: Iterable[Any]) -> _Outcomes:
        """One step of every env. A loop that does as little as can be: this is where serial mode spends its time."""
        observations: list[Any] = []
        rewards: list[Any] = []
        infos: list[Any] = []
        ended: list[tuple[int, Any, Any]] = []
        outcome: Any = _WELL_FORMED
        try:
            for step, action in zip(self._steps, actions, strict=True):
                outcome = step(action)
                observation, reward, terminated, truncated, info = outcome
                if terminated or truncated:
                    ended.append((len(rewards), terminated, truncated))
                observations.append(observation)
                rewards.append(reward)
                infos.append(info)
        except FAULTS as error:
            row = len(rewards)
            complaint = _malformed(outcome)
            self._fail(row, "step", RowError(row, complaint) if complaint else error)
        return observations, rewards, infos, ended

    def _write_outcomes(self, slot: Slot, outcomes: _Outcomes) -> list[tuple[int, Mapping[str, Any]]]:
        observations, rewards, infos, ended = outcomes
        said = _said(infos) if any(infos) else []
        slot.terminated.fill(0)
        slot.truncated.fill(0)
        for i, terminated, truncated in ended:
            slot.terminated[i], slot.truncated[i] = terminated, truncated
            self._write.final_observation(slot, i, observations[i])
            observations[i], infos[i] = self._begin_episode(i, None)
        self._write.step(slot, observations, rewards, infos)
        return said

    def recv(self) -> Infos:
        """The infos of the step that `send` made."""
        infos, self._infos = self._infos, None
        return checks.sent(self._id, infos)

    @property
    def render_fps(self) -> float:
        """Pictures a second at which environment 0 looks natural; 30 where it does not say."""
        said = getattr(self._envs[0], "metadata", {}).get("render_fps")
        return float(said or 30.0)

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """A picture of environment 0, if it was made with `render_mode="rgb_array"`."""
        return checks.picture_of(self._id, self._guarded(0, "render", self._envs[0].render))

    def snapshot(self) -> State:
        """As `VectorEnv.snapshot`: `{"environments": {number: state}}`."""
        checks.check_snapshot(self.spec)
        states = {
            str(i): {"seed": self._seeds[i], **self._guarded(i, "get_state", state.get)}
            for i, state in enumerate(self._states)
        }
        return {"environments": states, **seeded(self._seed, self._first)}

    def restore(self, state: State) -> None:
        """As `VectorEnv.restore`. Every env is reset before it is given its state."""
        checks.check_snapshot(self.spec)
        states = environments_of(self._id, state, self._num_envs)
        self._infos = None
        self._seed, self._first = seed_of(state)
        for i, own in enumerate(states):
            self._seeds[i] = own["seed"]
            self._begin_episode(i, own["seed"])
            try:
                self._states[i].set(own)
            except CheckpointError as error:
                raise CheckpointError(f"{self._id}: environment {self._first + i}: {error.message}") from error

    def close(self) -> None:
        """Close every env, also when one of them raises; then raise for the first that did. Safe to call twice."""
        envs, self._envs = self._envs, []
        self._slots = []
        checks.close_all(partial(self._guarded, i, "close", env.close) for i, env in enumerate(envs))

    def _slot(self, slot: int, *, first: int = 0) -> Slot:
        checks.check_slot(self._id, slot, len(self._slots), first)
        return self._slots[slot]

    def _own_actions(self, action: np.ndarray[Any, Any]) -> Iterable[Any]:
        """One a row, of a copy: an env may keep or change its action, and the caller's array is a rollout's storage."""
        if self._gives_scalars and action.dtype == self._action_dtype and action.shape == self._action_shape:
            return action  # whose elements are made anew as they are taken
        layout = self.spec.action
        return layout.structures(checks.own_actions(self._id, action, layout, self._num_envs))

    def _begin_episode(self, i: int, seed: int | None) -> tuple[Any, Mapping[str, Any]]:
        if self._note is not None:
            self._note(-1 - i)
        begun: tuple[Any, Mapping[str, Any]]
        try:
            begun = self._envs[i].reset(seed=seed)
        except FAULTS as error:
            self._fail(i, "reset", error)
        if complaint := checks.complaint_of_reset(begun):
            self._fail(i, "reset", RowError(i, complaint))
        return begun

    def _guarded(self, i: int, phase: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except FAULTS as error:
            self._fail(i, phase, error)

    def _fail(self, i: int, phase: str, error: BaseException) -> NoReturn:
        """Say which environment failed, when, how it was seeded and why; what is already said passes through."""
        if isinstance(error, PufferError) and not isinstance(error, RowError):
            raise error
        who = f"environment {self._first + i} of {max(self._total, self._first + self._num_envs)}"
        what, seed = checks.why(error), self._seeds[i]
        raise checks.env_error(self._id, who, phase, what, seed=seed, alone=True) from error


def _noted(note: Callable[[int], Any], i: int, step: Callable[[Any], Any], action: Any) -> Any:
    note(i)
    return step(action)


def _said(infos: Sequence[Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The infos that say something, with their rows."""
    for i, info in enumerate(infos):
        if not isinstance(info, Mapping):
            raise RowError(i, f"the info is {info!r}, expected a dict")
    return [(i, info) for i, info in enumerate(infos) if info]


def _malformed(outcome: Any) -> str:
    """What is wrong with what `step` gave, in words; empty where nothing is."""
    if complaint := checks.complaint_of_step(outcome):
        return complaint
    flags = outcome[2:4]
    if any(np.ndim(flag) for flag in flags):  # arrays of several elements have no truth value
        return f"terminated and truncated are {flags!r}, expected True or False"
    return ""
