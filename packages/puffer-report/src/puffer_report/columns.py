"""`metrics.jsonl` as columns of numbers, whatever state a crash left the file in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from puffer_report.lines import parse


@dataclass(frozen=True)
class Columns:
    """The lines of a `metrics.jsonl`.

    Args:
        step: of each line, in the trainer's unit, `[lines]`.
        values: metrics by name, NaN where a line has none, `[lines]` each.
        damaged: whole lines that could not be read.
    """

    step: Float[np.ndarray, "lines"]
    values: dict[str, Float[np.ndarray, "lines"]]
    damaged: int = 0

    def get(self, key: str) -> Float[np.ndarray, "lines"]:
        """A metric; NaN throughout where the run has none of that name."""
        return self.values.get(key, np.full(len(self.step), math.nan))

    @property
    def elapsed(self) -> Float[np.ndarray, "lines"]:
        """Seconds of training up to each line; a resumed run goes on where it stood, also if its clock began anew.

        Example:
            >>> Columns(np.arange(4.0), {"time/wall": np.array([1.0, 2.0, 0.5, 1.5])}).elapsed.tolist()
            [1.0, 2.0, 2.5, 3.5]
        """
        wall = self.get("time/wall")
        known = np.flatnonzero(np.isfinite(wall))
        passed = np.diff(wall[known], prepend=0.0)
        elapsed = np.full(len(wall), math.nan)
        elapsed[known] = np.cumsum(np.where(passed < 0, wall[known], passed))
        return elapsed


def read_columns(path: Path) -> Columns:
    r"""Read what is there: a last line that is still being written is left out, a damaged one counted.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     file = Path(place) / "metrics.jsonl"
        ...     _ = file.write_text('{"step": 8, "loss": null}\n{"step": 16, "loss": 0.5}\n{"step": 24, "lo')
        ...     read_columns(file).get("loss")
        array([nan, 0.5])
    """
    values, damaged = parse(path)
    columns = {name: np.frombuffer(column) for name, column in values.items()}
    return Columns(columns.pop("step"), columns, damaged)
