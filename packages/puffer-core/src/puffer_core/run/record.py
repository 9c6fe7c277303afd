"""What a run knows of itself beside the state of its components: time spent, the last evaluation, what is logged."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from puffer_core.checkpoints.form import check_form
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.trainer import Metrics
from puffer_core.evaluation import Evaluation
from puffer_core.plan import RunOptions


class RunRecord:
    """Time spent over all resumes, the last evaluation, and how far the log is. Checkpointable.

    Example:
        >>> record = RunRecord()
        >>> record.evaluated(64, Evaluation(np.array([1.0, 3.0]), np.array([10, 20]), seed=0, deterministic=True))
        >>> again = RunRecord()
        >>> again.load_state_dict(record.state_dict())
        >>> again.evaluated_at, again.evaluation.mean_return
        (64, 2.0)
    """

    STATE_VERSION = 1

    def __init__(self) -> None:
        self._before = 0.0
        self._began = perf_counter()
        self.evaluation: Evaluation | None = None
        self.evaluated_at = -1
        """The step of `evaluation`; -1 where there was none."""
        self.logged = -1
        """The last step whose metrics were logged; -1 where none was."""
        self.pending: Metrics | None = None
        """Metrics of the present step, while its evaluation is not done; a resumed run evaluates, then logs them."""

    @property
    def seconds(self) -> float:
        """Spent in the run, that of earlier processes included as far as it was saved."""
        return self._before + perf_counter() - self._began

    def evaluated(self, step: int, evaluation: Evaluation) -> None:
        """An evaluation was made at `step`."""
        self.evaluated_at, self.evaluation = step, evaluation

    def reached(self, target: float | None) -> bool:
        """Whether the last evaluation's mean return is at least `target`; never where that is None."""
        return target is not None and self.evaluation is not None and self.evaluation.mean_return >= target

    def ended(self, step: int, options: RunOptions) -> bool:
        """Whether training is over at `step`: all steps were taken and judged, or an evaluation reached the target."""
        return (step >= options.total_steps or self.reached(options.target_return)) and self.pending is None

    def state_dict(self) -> State:
        """Seconds spent, the last evaluation with the return and length of each episode, and how far the log is."""
        found = self.evaluation
        return {
            "seconds": self.seconds,
            "evaluated_at": self.evaluated_at,
            "returns": np.asarray(found.returns if found else (), np.float64),
            "lengths": np.asarray(found.lengths if found else (), np.int64),
            "seed": str(found.seed if found else 0),
            "deterministic": found.deterministic if found else True,
            "cut": found.cut if found else 0,
            "logged": self.logged,
            "pending": [[name, float(value)] for name, value in (self.pending or {}).items()],
        }

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave.

        Raises:
            CheckpointError: the state is malformed; nothing was changed.
        """
        check_form(state, self.state_dict(), free=("returns", "lengths", "seed", "pending"))
        self._before, self._began = float(state["seconds"]), perf_counter()
        self.evaluated_at = int(state["evaluated_at"])
        self.evaluation = _evaluation(state) if self.evaluated_at >= 0 else None
        self.logged = int(state["logged"])
        self.pending = dict(state["pending"]) or None


def _evaluation(state: dict[str, Any]) -> Evaluation:
    return Evaluation(
        np.asarray(state["returns"], np.float64),
        np.asarray(state["lengths"], np.int64),
        seed=int(state["seed"]),
        deterministic=bool(state["deterministic"]),
        cut=int(state["cut"]),
    )
