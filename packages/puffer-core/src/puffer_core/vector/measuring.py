"""How long the steps of a vector env take, with random valid actions that are drawn off the clock."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from time import perf_counter

import numpy as np

from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.vector.random_actions import random_actions

_PREPARED = 32
_BLOCK_SECONDS = 0.005
_STEPS, _SECONDS, _WARM_UP = 300, 0.3, 2


def timed_steps(env: VectorEnv, block: int = 1) -> Iterator[tuple[int, float]]:
    """Play for ever; how many steps of the batch were made since the last time, and the seconds that they took.

    Args:
        env: unbound; left open, wherever it stands by then.
        block: steps between two times, at most: cheap steps are timed together. One by one in any case where masks
            say which actions are valid.
    """
    spec = env.spec
    last = 1 if spec.action_mask else block
    slots = EnvBuffers.allocate(spec, last + 1, getattr(env, "allocate", np.zeros))
    rng = np.random.default_rng(0)
    env.bind(slots)
    env.reset(0)
    prepared = [random_actions(spec.action, rng, spec.rows) for _ in range(_PREPARED)]
    slot = 0
    while True:
        if slots.action_mask is not None:
            prepared = [random_actions(spec.action, rng, spec.rows, slots.action_mask[0])]
        before, start = slot, perf_counter()
        while slot < last:
            slot += 1
            env.step(prepared[slot % len(prepared)], slot)
            if perf_counter() - start > _BLOCK_SECONDS:
                break
        yield slot - before, perf_counter() - start
        if slot == last:
            slots.wrap()
            slot = 0


def measure_step(env: VectorEnv, *, steps: int = _STEPS, seconds: float = _SECONDS) -> float:
    """Seconds that a step of the whole batch costs, episodes' ends included; one interruption does not count.

    Args:
        env: unbound; left open, wherever it stands by then.
        steps: at most so many.
        seconds: no step begins after so long.
    """
    times: list[float] = []
    end = perf_counter() + seconds
    for _, taken in islice(timed_steps(env), steps + _WARM_UP):
        times.append(taken)
        if perf_counter() > end:
            break
    times = times[_WARM_UP:] or times
    third = -(-len(times) // 3)
    return statistics.median(statistics.fmean(times[i : i + third]) for i in range(0, len(times), third))


@contextmanager
def generators_kept() -> Iterator[None]:
    """An env may draw from the process's own generators: how long it was looked at must not show in its results."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  they are looked after, not used
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
