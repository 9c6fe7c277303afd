"""The workers of a batch: told together what to do, waited for in order, replaced when they die."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from puffer_core.checkpoints.statefile import encode
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import EnvError, PufferError
from puffer_core.vector.channel import Message
from puffer_core.vector.control import ROW_BYTES
from puffer_core.vector.memory import describe, shared_zeros
from puffer_core.vector.recipe import Recipe
from puffer_core.vector.restarts import Member, Restarts, first_slot_moved
from puffer_core.vector.seeding import restart_seed
from puffer_core.vector.shares import Share
from puffer_core.vector.waiting import Patience
from puffer_core.vector.worker import unpacked
from puffer_core.vector.worker_process import WorkerDied, WorkerProcess

STARTUP_SECONDS = 5.0
"""At least so long may it take to make environments, however little a step may take."""

CLOSE_SECONDS = 1.0
"""For the environments of all workers to close themselves, before their processes are killed."""

Asking: TypeAlias = Callable[[Member], dict[str, Any]]
"""What goes with a command, for each worker."""


class Crew:
    """Workers with their shares.

    Args:
        recipe: of the environments.
        shares: one a worker.
        total: environments of the batch.
        timeout: seconds that a step, reset or snapshot may take.
        restarts: workers that may be restarted in all.
        spin: seconds to wait without pause.
    """

    def __init__(
        self, recipe: Recipe, shares: Sequence[Share], *, total: int, timeout: float, restarts: int, spin: float
    ) -> None:
        self._pid = os.getpid()
        self._recipe = recipe
        self._total = total
        self._timeout = timeout
        self._spin = spin
        self._control = shared_zeros((len(shares), ROW_BYTES), np.uint8)
        self.restarts = Restarts(recipe.name, restarts)
        self.members = [
            Member(number, WorkerProcess(recipe.target, row, spin=spin), share)
            for number, (row, share) in enumerate(zip(self._control, shares, strict=True), start=1)
        ]
        self.lost: list[Member] = []
        """Workers that were replaced since this was last emptied."""
        self._form: dict[str, Any] | None = None
        self._buffers: EnvBuffers | None = None
        self._action: np.ndarray[Any, Any] | None = None
        self._seed: tuple[int, int] | None = None

    # --- its life ---

    def start(self, meanwhile: Callable[[], Any]) -> dict[str, Any]:
        """Fork the workers and have them make their environments; the spec that all of them have, as JSON.

        Args:
            meanwhile: done while they do.

        Raises:
            EnvError: an environment cannot be made, or differs from the others.
        """
        for member in self.members:
            with suppress(WorkerDied):  # its answer tells
                self._launch(member)
        meanwhile()
        patience = self._startup()
        for member in self.members:
            try:
                self._made(member, patience)
            except WorkerDied as died:
                self._replace(member, died, 0)
        assert self._form is not None
        for member in self.members:
            member.share = replace(member.share, agents=len(self._form["agents"]))
        return self._form

    def _launch(self, member: Member) -> None:
        share = member.share
        member.process.start(
            {"recipe": self._recipe.to_json(), "first": share.first, "count": share.count, "total": self._total}
        )

    def _made(self, member: Member, patience: Patience) -> None:
        self.agree(member.process.answer(patience).content["answer"], str(member.share))

    def agree(self, form: dict[str, Any], whose: str) -> None:
        """Compare the spec of a share to those before.

        Raises:
            EnvError: they differ.
        """
        self._form = self._form or form
        for name, value in self._form.items():
            if form[name] != value:
                raise EnvError(f"{self._recipe.name}: {whose} have {name} {form[name]}, those before {value}")

    def bind(self, buffers: EnvBuffers, action: np.ndarray[Any, Any]) -> None:
        """Have every worker write into shared buffers, and read its actions from `action`.

        Raises:
            PufferError: they do not fit.
        """
        self._buffers, self._action = buffers, action
        self._together("bind", self._startup(), 0, self._binding)

    def reset(self, seed: int, first: int, meanwhile: Callable[[], Any]) -> None:
        """Start every environment anew, in slot 0.

        Raises:
            EnvError: one raised.
        """
        self._seed = (seed, first)
        for member in self.members:
            member.restarts = 0
        self._together("reset", Patience(self._timeout), 0, self._resetting, meanwhile)
        self.lost.clear()  # no transition was

    def snapshot(self, slot: int) -> list[State]:
        """The state of each worker's environments."""
        messages = self._together("snapshot", Patience(self._timeout), slot)
        return [unpacked(message.content["answer"], message.data) for message in messages]

    def restore(self, states: Sequence[State], seed: int, first: int, restarts: Sequence[int]) -> None:
        """Have each worker go back to its state."""
        self._seed = (seed, first)
        packed = [encode(state) for state in states]
        for member, count in zip(self.members, restarts, strict=True):
            member.restarts = count

        def asking(member: Member) -> dict[str, Any]:
            files = packed[member.number - 1]
            sizes = {suffix: len(data) for suffix, data in files.items()}
            return {"data": b"".join(files.values()), "sizes": sizes, **self._resetting(member)}

        self._together("restore", self._startup(), 0, asking)
        self.lost.clear()  # whoever was replaced went back to its state too

    def render(self, slot: int) -> np.ndarray[Any, Any]:
        """A picture of the first worker's first environment."""
        [message] = self._together("render", Patience(self._timeout), slot, members=self.members[:1])
        return np.frombuffer(message.data, np.uint8).reshape(message.content["answer"]).copy()

    def close(self) -> PufferError | None:
        """End every worker, politely where it listens; what the first environment raised that did."""
        if self._pid != os.getpid():
            return None  # this process was forked: they are its parent's
        failed: PufferError | None = None
        patience = Patience(CLOSE_SECONDS)
        for member in self.members:
            with suppress(WorkerDied):
                member.process.ask("close")
        for member in self.members:
            try:
                if not patience.over:
                    member.process.answer(patience)
            except WorkerDied:
                continue
            except PufferError as error:
                failed = failed or error
        for member in self.members:
            member.process.kill()
            member.process.free()
        self.members.clear()
        del self._control
        self._buffers = self._action = None
        return failed

    # --- steps ---

    def send(self, slot: int) -> None:
        """Have every worker step."""
        for member in self.members:
            member.process.begin(slot)

    def recv(self, slot: int) -> list[tuple[int, Mapping[str, Any]]]:
        """Wait until every worker has stepped; their infos. Those that died have been replaced.

        Raises:
            EnvError: an environment raised, or a worker is not replaced any more.
        """
        infos: list[tuple[int, Mapping[str, Any]]] = []
        errors: list[PufferError] = []
        deaths: list[tuple[Member, WorkerDied]] = []
        patience = Patience(self._timeout)
        for member in self.members:
            try:
                infos += [(member.share.rows.start + row, info) for row, info in member.process.finish(patience)]
                member.failures = 0
            except WorkerDied as died:
                deaths.append((member, died))
            except PufferError as error:
                errors.append(error)
        for member, death in deaths:
            self._replace(member, death, slot)
        if errors:
            raise errors[0]
        return infos

    # --- messages ---

    def _together(
        self,
        do: str,
        patience: Patience,
        slot: int,
        asking: Asking = lambda _: {},
        meanwhile: Callable[[], Any] = lambda: None,
        *,
        members: Sequence[Member] | None = None,
    ) -> list[Message]:
        """Tell workers what to do and wait until all of them have; those that died are replaced, and told again.

        Args:
            do: the command.
            patience: with all of them together.
            slot: where rows of a replaced worker begin anew.
            asking: gives what goes with the command.
            meanwhile: done while they do.
            members: whom to tell; None: all.

        Raises:
            PufferError: one failed, or `meanwhile` did; of several, the first.
        """
        members = self.members if members is None else members
        for member in members:
            with suppress(WorkerDied):
                member.process.ask(do, **asking(member))
        errors: list[PufferError] = []
        try:
            meanwhile()
        except PufferError as error:
            errors.append(error)
        answers: list[Message] = []
        for member in members:
            try:
                answers.append(member.process.answer(patience))
            except WorkerDied as died:
                self._replace(member, died, slot)
                if do not in ("bind", "reset"):  # which belong to the replacement
                    answers += self._together(do, self._startup(), slot, asking, members=[member])
            except PufferError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers

    def _binding(self, member: Member) -> dict[str, Any]:
        assert self._buffers is not None
        assert self._action is not None
        part = self._buffers.part(member.share.rows, member.share.envs)
        fds, forms = describe({**part.arrays(), "@action": self._action[member.share.rows]})
        return {"fds": fds, "arrays": forms}

    def _resetting(self, member: Member) -> dict[str, Any]:
        assert self._seed is not None
        seed, first = self._seed
        return {"seed": restart_seed(seed, member.restarts), "first": first + member.share.first}

    def _startup(self) -> Patience:
        return Patience(max(self._timeout, STARTUP_SECONDS))

    # --- replacing ---

    def _replace(self, member: Member, died: WorkerDied, slot: int) -> None:
        """Have a new process take over: with the first observations of new episodes in `slot`, once there were any.

        Raises:
            EnvError: it failed too often.
        """
        while True:
            self.restarts.admit(member, died, self._seed)
            try:
                self._launch(member)
                self._made(member, self._startup())
                if self._buffers is not None:
                    self._rejoin(member, self._buffers, slot)
                self.lost.append(member)
                return
            except WorkerDied as again:
                died = again
            except PufferError:
                member.process.kill()
                raise

    def _rejoin(self, member: Member, buffers: EnvBuffers, slot: int) -> None:
        with first_slot_moved(buffers.part(member.share.rows, member.share.envs), slot):
            member.process.ask("bind", **self._binding(member))
            member.process.answer(self._startup())
            if self._seed is not None:
                member.process.ask("reset", **self._resetting(member))
                member.process.answer(Patience(self._timeout))
