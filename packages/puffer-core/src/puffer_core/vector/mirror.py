"""Slots that workers write where the caller's own are not in shared memory."""

from __future__ import annotations

from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.vector.memory import locate, shared_zeros
from puffer_core.vector.shares import Share


def is_shared(buffers: EnvBuffers) -> bool:
    """Whether other processes can write into `buffers`."""
    return all(locate(array) is not None for array in buffers.arrays().values())


class Mirror:
    """Two slots in shared memory: one for a reset, one for every step, each copied to where it belongs.

    Args:
        spec: of the whole batch.
        buffers: the caller's.
        first: the share of the first worker; it and all after it are copied.
    """

    def __init__(self, spec: VectorEnvSpec, buffers: EnvBuffers, first: Share) -> None:
        self.slots = EnvBuffers.allocate(spec, 2, shared_zeros)
        rows, envs = slice(first.rows.start, None), slice(first.envs.start, None)
        here, there = self.slots.part(rows, envs).arrays(), buffers.part(rows, envs).arrays()
        self._copies = [(here[name], there[name]) for name in here]

    @staticmethod
    def place(slot: int) -> int:
        """Where workers write what belongs into `slot`."""
        return min(slot, 1)

    def copy(self, slot: int) -> None:
        """Put what they wrote into `slot`."""
        for here, there in self._copies:
            there[slot] = here[self.place(slot)]
