"""Process mode: worker processes step shares of the environments, in shared memory, beside the main process.

Steps are lockstep and numbered: which worker is faster never shows in the rows, so they are bitwise those of serial
mode. A worker that dies or hangs is replaced: its rows lose one transition and start new episodes.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, RenderingEnv, VectorEnv, VectorEnvSpec
from puffer_core.errors import CheckpointError, PufferError, UnsupportedError, UsageError
from puffer_core.quoting import error_text
from puffer_core.vector import checks
from puffer_core.vector.checks import FAULTS
from puffer_core.vector.crew import Crew
from puffer_core.vector.memory import shared_zeros
from puffer_core.vector.mirror import Mirror, is_shared
from puffer_core.vector.parting import divided_state, joined_state, seed_of, seeded
from puffer_core.vector.recipe import Recipe
from puffer_core.vector.restarts import Losses
from puffer_core.vector.shares import cores, shares_of
from puffer_core.vector.spec_json import spec_from_json, spec_to_json
from puffer_core.vector.waiting import CROWDED_SPIN_SECONDS, SPIN_SECONDS

Value = TypeVar("Value")


class ProcessVectorEnv:
    """A `VectorEnv` whose environments live in worker processes, and a share of them in this one.

    Give it buffers from its `allocate`, which lie in shared memory; others work, and are copied at every step.

    Args:
        recipe: how the environments are made.
        target: what `recipe.target` names, imported, to step the first share in this process; None to step none here.
        num_envs: environments of the batch.
        workers: processes beside this one, at most `num_envs`, less one if this process steps some.
        timeout: seconds that workers may take for a step before they are killed and replaced.
        restarts: workers that may be replaced in all.

    Raises:
        EnvError: an environment cannot be made.
        UsageError: the workers cannot import the target.

    Example:
        >>> from puffer_core.vector.gymnasium import make
        >>> recipe = Recipe(name="CartPole-v1", target="puffer_core.vector.gymnasium:make", interface="gymnasium",
        ...     arguments={"gymnasium_id": "CartPole-v1"}, options={})
        >>> env = ProcessVectorEnv(recipe, make, num_envs=4, workers=1)
        >>> slots = EnvBuffers.allocate(env.spec, 3, env.allocate)
        >>> env.bind(slots)
        >>> env.reset(seed=0)
        >>> env.step(np.array([0, 1, 0, 1]), slot=1)
        []
        >>> slots.reward[1], len(env.pids)
        (array([1., 1., 1., 1.], dtype=float32), 1)
        >>> env.close()
    """

    spec: VectorEnvSpec
    allocate = staticmethod(shared_zeros)
    """Gives zeroed arrays in shared memory."""

    def __init__(
        self,
        recipe: Recipe,
        target: Callable[..., Any] | None,
        *,
        num_envs: int,
        workers: int,
        timeout: float = 60.0,
        restarts: int = 1000,
    ) -> None:
        self._id = recipe.name
        _check_importable(recipe)
        shares = shares_of(num_envs, workers + (target is not None))
        self._own = shares.pop(0) if target is not None else None
        self._main: VectorEnv | None = None
        spin = SPIN_SECONDS if workers + 1 <= cores() else CROWDED_SPIN_SECONDS
        self._crew = Crew(recipe, shares, total=num_envs, timeout=timeout, restarts=restarts, spin=spin)
        self._end = weakref.finalize(self, self._crew.close)
        self._losses = Losses()
        self._reported = (0, 0)
        self._buffers: EnvBuffers | None = None
        self._mirror: Mirror | None = None
        self._under_way = False
        self._sent: int | None = None
        self._slot = 0
        self._seed = (0, 0)
        try:
            form = self._crew.start(lambda: self._make_own(recipe, target, num_envs))
            self.spec = spec_from_json(form, num_envs)
            self._action = shared_zeros((self.spec.rows, *self.spec.action.shape), self.spec.action.dtype)
        except BaseException:
            with suppress(PufferError):  # it must not hide what went wrong first
                self.close()
            raise
        self._own = self._own and replace(self._own, agents=len(self.spec.agents))
        self._own_action = self._action[self._own.rows if self._own else slice(0)]

    def _make_own(self, recipe: Recipe, target: Callable[..., Any] | None, num_envs: int) -> None:
        if self._own is not None and target is not None:
            self._main = recipe.make(target, self._own.count, total=num_envs)
            self._crew.agree(spec_to_json(self._main.spec), str(self._own))

    @property
    def pids(self) -> list[int]:
        """Of the workers, as they are now."""
        return [member.process.pid for member in self._crew.members]

    def stacks(self) -> dict[int, str]:
        """Where each worker stands, by pid; for another thread than the one that steps."""
        return {member.process.pid: member.process.stack() for member in tuple(self._crew.members)}

    def bind(self, buffers: EnvBuffers) -> None:
        """As `VectorEnv.bind`."""
        if not self._end.alive:
            raise UsageError(f"{self._id}: used after close")
        checks.check_rows(self._id, self.spec.rows, buffers)
        first = self._crew.members[0].share
        self._mirror = None if is_shared(buffers) else Mirror(self.spec, buffers, first)
        self._losses.forget()
        self._crew.bind(self._mirror.slots if self._mirror else buffers, self._action)
        if self._main is not None and self._own is not None:
            self._main.bind(buffers.part(self._own.rows, self._own.envs))
        self._buffers = buffers

    def _place(self, slot: int) -> int:
        """Where workers write what belongs into `slot`."""
        return self._mirror.place(slot) if self._mirror else slot

    def _settle(self, slot: int) -> None:
        """What workers wrote becomes `slot`; rows of those that were replaced have lost the transition to it."""
        buffers = self._bound()
        if self._mirror:
            self._mirror.copy(slot)
        for member in self._crew.lost:
            self._losses.mark(buffers, slot, member.share.rows)
        self._crew.lost.clear()

    def reset(self, seed: int, first: int = 0) -> None:
        """As `VectorEnv.reset`."""
        buffers = self._bound()
        self._under_way, self._sent, self._slot, self._seed = False, None, 0, (seed, first)
        self._losses.unmark(buffers, 0)
        self._crew.reset(seed, first, self._reset_own)
        self._settle(0)

    def _reset_own(self) -> None:
        if self._main is not None:
            self._in_own("reset", self._main.reset, *self._seed)

    def _in_own(self, phase: str, call: Callable[..., Value], *arguments: Any) -> Value:
        """What a batch of its own raises in this process gets the words that a worker has for it."""
        try:
            return call(*arguments)
        except PufferError:
            raise
        except FAULTS as error:
            raise checks.env_error(self._id, str(self._own), phase, error_text(error)) from error

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """As `VectorEnv.step`; raises an `EnvError` too where a worker died again and again."""
        self.send(action, slot)
        return self.recv()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Have the workers start on a step."""
        buffers = self._bound()
        if self._under_way:
            raise UsageError(f"{self._id}: a step is under way; recv it, or reset")
        checks.check_slot(self._id, slot, buffers.slots, 1)
        checks.check_actions(self._id, action, self.spec.action, self.spec.rows)
        self._action[...] = action
        self._losses.unmark(buffers, slot)
        self._under_way, self._sent, self._slot = True, slot, slot
        self._crew.send(self._place(slot))

    def recv(self) -> Infos:
        """Step this process's share, wait for the workers, and replace those that died.

        Where this is interrupted the step stays half done, and only `reset` goes on from there.
        """
        self._bound()
        slot, self._sent = checks.sent(self._id, self._sent), None
        infos: list[Any] = []
        failed: list[PufferError] = []
        if self._main is not None:
            try:
                infos += self._in_own("step", self._main.step, self._own_action, slot)
            except PufferError as error:
                failed.append(error)  # raised below, when the workers are done
        try:
            infos += self._crew.recv(self._place(slot))
        except PufferError as error:
            failed.append(error)
        self._under_way = False
        self._settle(slot)
        if failed:
            raise failed[0]
        return infos

    def metrics(self) -> dict[str, float]:
        """Workers that were replaced and transitions that were lost with them since the last call."""
        counts = (self._crew.restarts.count, self._losses.count)
        restarts, lost = (now - before for now, before in zip(counts, self._reported, strict=True))
        self._reported = counts
        return {"env/restarts": float(restarts), "env/lost_transitions": float(lost)}

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """A picture of environment 0, if it was made for that."""
        self._bound()
        if self._main is None:
            return self._in_spite_of_deaths(self._crew.render)
        if not isinstance(self._main, RenderingEnv):
            raise UnsupportedError(f"{self._id} gives no picture")
        return self._main.render()

    def _in_spite_of_deaths(self, asked: Callable[[int], Value]) -> Value:
        """What the crew gives between two steps; rows of workers that were replaced begin anew in the last slot."""
        given = asked(self._place(self._slot))
        if self._crew.lost:
            self._settle(self._slot)
        return given

    def snapshot(self) -> State:
        """The state of every environment, and what replacements are seeded from.

        Where it can be divided (see `VectorEnv.snapshot`), it is as from any other way of stepping these environments.
        Otherwise it belongs to the shares that it was taken from.
        """
        self._check_settled("snapshot")
        states = self._in_spite_of_deaths(self._crew.snapshot)
        if self._main is not None:
            states.insert(0, self._main.snapshot())
        whole = joined_state(states)
        if whole is None:
            whole = {"shares": {str(i): state for i, state in enumerate(states)}, "counts": self._counts()}
        return {**whole, "restarts": [member.restarts for member in self._crew.members], **seeded(*self._seed)}

    def _counts(self) -> list[int]:
        own = [] if self._own is None else [self._own.count]
        return own + [member.share.count for member in self._crew.members]

    def restore(self, state: State) -> None:
        """As `VectorEnv.restore`; whoever goes on from it has the last observations in the last slot."""
        buffers = self._check_settled("restore")
        states = self._shared_out(state)
        self._slot, self._seed = buffers.slots - 1, seed_of(state)
        if self._main is not None:
            self._main.restore(states.pop(0))
        restarts, members = state.get("restarts", [0]), len(self._crew.members)
        if len(restarts) != members:  # whoever is replaced then must not begin as somebody did before
            restarts = [max(restarts)] * members
        self._crew.restore(states, *self._seed, restarts)

    def _shared_out(self, state: State) -> list[State]:
        counts = self._counts()
        if "shares" not in state:
            return divided_state(self._id, state, counts)
        if state["counts"] != counts:
            raise CheckpointError(
                f"{self._id}: the state is of shares of {state['counts']} environments, here they have {counts}",
                remedy="go on with the --vector options that it was saved with",
            )
        return [state["shares"][str(i)] for i in range(len(counts))]

    def close(self) -> None:
        """End the workers and close every env, within two seconds. Safe to call twice, and in any state."""
        self._buffers, self._mirror, self._sent = None, None, None
        self._action = self._own_action = np.zeros(0)
        failed = None
        if self._end.detach():
            failed = self._crew.close()
        main, self._main = self._main, None
        if main is not None:
            main.close()
        if failed:
            raise failed

    def _bound(self) -> EnvBuffers:
        if self._buffers is None:
            raise checks.unbound(self._id)
        return self._buffers

    def _check_settled(self, what: str) -> EnvBuffers:
        buffers = self._bound()
        checks.check_snapshot(self.spec)
        if self._under_way:
            raise UsageError(f"{self._id}: {what} while a step is under way; recv it first, or reset")
        return buffers


def _check_importable(recipe: Recipe) -> None:
    """Refuse what workers cannot be told."""
    if recipe.target.startswith("__main__:"):
        raise UsageError(
            f"{recipe.name}: workers cannot import {recipe.target}, which is in the program that is running",
            remedy="move the environment to a module of its own",
        )
    try:
        json.dumps([recipe.arguments, recipe.options])
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{recipe.name}: its options cannot be told to workers: {error}",
            remedy="give numbers, texts, lists and dicts, or use --vector.mode serial",
        ) from None
