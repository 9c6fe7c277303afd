"""Driving a batch of `ChaosEnv`s and checking every step of it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.plan import VectorConfig
from puffer_core.vector import make_vector_env
from puffer_testing.components import host
from puffer_testing.pairing import unpaired


def chaos_vector_env(vector: dict[str, Any], env: str = "ChaosEnv", **options: Any) -> VectorEnv:
    """A vector env of `ChaosEnv`s, not bound yet.

    Args:
        vector: settings of `VectorConfig`: mode, num_envs, workers, timeout ...
        env: `ChaosEnv` or `ChaosDictEnv`.
        options: its options.

    Example:
        >>> chaos_vector_env({"mode": "serial", "num_envs": 3}, length=5).spec.rows
        3
    """
    provided = host().find_env(f"py:puffer_testing.chaos:{env}")
    return make_vector_env(provided, host().load(provided), options, VectorConfig(**vector))


class Drive:
    """Plays a vector env of `ChaosEnv`s with random actions, over few slots, and proves every step (`unpaired`).

    Args:
        env: not bound yet.
        slots: slots to bind, >= 2.
        seed: of the envs and of the actions.

    Example:
        >>> drive = Drive(chaos_vector_env({"num_envs": 2}))
        >>> drive.steps(20)
        >>> drive.taken, drive.lost
        (20, 0)
    """

    def __init__(self, env: VectorEnv, *, slots: int = 4, seed: int = 0, length: int = 10) -> None:
        self.env = env
        self.buffers = EnvBuffers.allocate(env.spec, slots, getattr(env, "allocate", np.zeros))
        self.taken = self.lost = 0
        self.slowest = 0.0
        """Seconds of the slowest step."""
        self.lost_rows: list[int] = []
        """Rows that the last step lost."""
        self._length = length
        self._actions = np.random.default_rng(seed)
        self._slot = 0
        env.bind(self.buffers)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Start anew."""
        self.env.reset(seed)
        self._slot = 0
        begun = self.buffers.observation[0]
        assert not begun[:, 1:].any(), f"a reset left {begun.tolist()}, expected first observations"

    def send(self) -> None:
        """Start a step with random actions."""
        if self._slot == self.buffers.slots - 1:
            self.buffers.wrap()
            self.buffers.active[1:] = True  # as the collector does: faults of slots that are used again are past
            self._slot = 0
        self._slot += 1
        layout = self.env.spec.action
        self._action = self._actions.integers(layout.mask_size, size=self.env.spec.rows).astype(layout.dtype)
        self._begun = time.perf_counter()
        self.env.send(self._action, self._slot)

    def recv(self) -> None:
        """Wait for it, and check what it wrote.

        Raises:
            AssertionError: a row's parts are not of one step.
        """
        self.env.recv()
        self.slowest = max(self.slowest, time.perf_counter() - self._begun)
        wrong = unpaired(self.buffers, self._slot, self._action, self._length)
        assert not wrong, f"step {self.taken}, slot {self._slot}, {wrong}"
        assert self.buffers.active[self._slot].all(), f"step {self.taken}: rows that live are not active"
        self.lost_rows = np.flatnonzero(~self.buffers.active[self._slot - 1]).tolist()
        self.lost += len(self.lost_rows)
        self.taken += 1

    def steps(self, number: int = 1) -> None:
        """Whole steps."""
        for _ in range(number):
            self.send()
            self.recv()
