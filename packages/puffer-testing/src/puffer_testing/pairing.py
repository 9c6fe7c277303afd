"""Proof that what a vector env wrote belongs together, row by row, from what `ChaosEnv` observes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_testing.chaos import chaos_outcome

Array: TypeAlias = "np.ndarray[Any, Any]"


def unpaired(buffers: EnvBuffers, slot: int, action: Array, length: int = 10) -> str:
    """The first row whose parts are not of one and the same step, in words; empty where all are.

    Where `active[slot - 1]` says that the transition counts, it must lead from the observation in `slot - 1`, by that
    row's action, to the one in `slot`, with the reward and the flags that belong to it. Where it does not count, the
    row must have started a new episode, without reward and flags.

    Args:
        buffers: those of an env of `ChaosEnv`s.
        slot: the slot that a step has just written.
        action: what it was given, `[rows]`.
        length: the option of the envs.

    Example:
        >>> from functools import partial
        >>> from puffer_core.vector import SerialVectorEnv
        >>> from puffer_testing import ChaosEnv
        >>> env = SerialVectorEnv(ChaosEnv, 2, id="chaos")
        >>> buffers = EnvBuffers.allocate(env.spec, 2)
        >>> env.bind(buffers)
        >>> env.reset(seed=0)
        >>> env.step(np.array([3, 4]), slot=1)
        []
        >>> unpaired(buffers, 1, np.array([3, 4]))
        ''
        >>> unpaired(buffers, 1, np.array([3, 5]))
        'row 1: after [..., 0.0, 0.0, 0.0] and action 5 came [..., 0.0, 1.0, 5.0]'
    """
    for row in range(buffers.reward.shape[1]):
        counts = buffers.active[slot - 1, row]
        wrong = _unpaired(buffers, slot, row, int(action[row]), length) if counts else _unbegun(buffers, slot, row)
        if wrong:
            return f"row {row}: {wrong}"
    return ""


def _unpaired(buffers: EnvBuffers, slot: int, row: int, action: int, length: int) -> str:
    before, now = buffers.observation[slot - 1, row], buffers.observation[slot, row]
    said = _outcome(buffers, slot, row)
    ended = said[1] or said[2]
    reached = buffers.final_observation[slot, row] if ended else now
    if not np.array_equal(reached, before * (1, 1, 1, 0) + (0, 0, 1, 1 + action)):
        return f"after {before.tolist()} and action {action} came {reached.tolist()}"
    if said != chaos_outcome(reached, length):
        return f"with {reached.tolist()} came {said}, expected {chaos_outcome(reached, length)}"
    if ended and now.tolist() != [before[0], before[1] + 1, 0, 0]:
        return f"after the episode of {before.tolist()} began {now.tolist()}"
    return ""


def _unbegun(buffers: EnvBuffers, slot: int, row: int) -> str:
    now, said = buffers.observation[slot, row], _outcome(buffers, slot, row)
    if now[2:].any() or said != (0.0, False, False):
        return f"a lost step left {now.tolist()} and {said}, expected the first observation of an episode and nothing"
    return ""


def _outcome(buffers: EnvBuffers, slot: int, row: int) -> tuple[float, bool, bool]:
    flags = (bool(array[slot, row]) for array in (buffers.terminated, buffers.truncated))
    return (float(buffers.reward[slot, row]), *flags)  # type: ignore[return-value]
