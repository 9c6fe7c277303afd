"""Episode statistics: returns and lengths of the episodes that rows finish."""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import Bool, Float32

from puffer_core.checkpoints.form import check_form
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.trainer import Metrics
from puffer_core.errors import CheckpointError


class EpisodeStatistics:
    """Follows every row's return and length, and remembers the last episodes.

    Args:
        rows: rows that are followed.

    An episode that lost a transition is dropped: its return would be that of its first part. Rows of dead agents count
    nothing.

    The window holds the last `max(100, 2 * rows)` episodes: short episodes end first, so a window of fewer would
    flatter a batch of many rows.

    Example:
        >>> statistics = EpisodeStatistics(rows=2)
        >>> statistics.add(np.ones(2, np.float32), np.array([True, False]), np.ones(2, bool))
        >>> statistics.metrics()["episode/return"]
        1.0
    """

    STATE_VERSION = 1

    def __init__(self, rows: int) -> None:
        self._returns = np.zeros(rows, np.float64)
        self._lengths = np.zeros(rows, np.int64)
        window = max(100, 2 * rows)
        self._recent_returns: deque[float] = deque(maxlen=window)
        self._new_returns: list[float] = []
        self._new_lengths: list[int] = []
        self.finished = 0

    def add(
        self,
        reward: Float32[np.ndarray, "rows"],
        done: Bool[np.ndarray, "rows"],
        active: Bool[np.ndarray, "rows"],
    ) -> None:
        """Count one step of every row.

        Args:
            reward: of the step.
            done: an episode ended with it.
            active: the step counts; False for a dead agent, or a transition that was lost.
        """
        self._returns += reward
        self._lengths += 1
        if not active.all():
            done = done & active
            self._returns[~active] = 0.0
            self._lengths[~active] = 0
        if done.any():
            returns = self._returns[done].tolist()
            self._new_returns += returns
            self._recent_returns.extend(returns)
            self._new_lengths += self._lengths[done].tolist()
            self.finished += len(returns)
            self._returns[done] = 0.0
            self._lengths[done] = 0

    def add_steps(
        self,
        reward: Float32[np.ndarray, "T rows"],
        done: Bool[np.ndarray, "T rows"],
        active: Bool[np.ndarray, "T rows"],
    ) -> None:
        """Count several steps, as `add` would one after another; steps at which no episode ends at little cost."""
        begin = 0
        for t in np.flatnonzero((done | ~active).any(axis=1)).tolist():
            self._pass(reward[begin:t])
            self.add(reward[t], done[t], active[t])
            begin = t + 1
        self._pass(reward[begin:])

    def _pass(self, reward: Float32[np.ndarray, "T rows"]) -> None:
        self._returns += reward.sum(axis=0, dtype=np.float64)
        self._lengths += len(reward)

    def metrics(self) -> Metrics:
        """Means over the episodes that ended since the last call, NaN where none did, and over the window."""
        returns, lengths = self._new_returns, self._new_lengths
        self._new_returns, self._new_lengths = [], []
        window = self._recent_returns
        return {
            "episode/return": float(np.mean(returns)) if returns else float("nan"),
            "episode/length": float(np.mean(lengths)) if lengths else float("nan"),
            "episode/return_recent": float(np.mean(window)) if window else float("nan"),
            "episode/count": float(self.finished),
        }

    def state_dict(self) -> State:
        """Running sums, the window, and the count."""
        return {
            "returns": self._returns,
            "lengths": self._lengths,
            "recent_returns": np.asarray(self._recent_returns, np.float64),
            "finished": self.finished,
        }

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave.

        Raises:
            CheckpointError: the state is of other rows, or malformed; nothing was changed.
        """
        check_form(state, self.state_dict(), free=("recent_returns",))
        shape = np.shape(state["recent_returns"])
        if len(shape) != 1:
            raise CheckpointError(f"recent_returns: expected a return for each episode, got shape {shape}")
        self._returns[:] = state["returns"]
        self._lengths[:] = state["lengths"]
        self._recent_returns.clear()
        self._recent_returns.extend(np.asarray(state["recent_returns"]).tolist())
        self.finished = int(state["finished"])
