"""The loops over the rows of a batch: what a reset and a step of the whole batch are.

One source runs in two ways: over a `PythonRows`, as it stands, and compiled over a `RowsType`, where each method
of `rows` is a few machine instructions.
"""

from __future__ import annotations

from typing import Any


def reset_rows(rows: Any) -> int:
    """Start a new episode in every row and write its first observation; gives 0."""
    for row in range(rows.start(), rows.stop()):
        rows.visit(row)
        env = rows.load(row)
        env.elapsed = 0
        env.reset()
        rows.observe(row, env)
        rows.store(row, env)
    return 0


def step_rows(rows: Any) -> int:
    """Step every row, then start anew those whose episode ended.

    Two passes, because the first has no branch and so LLVM computes several rows at once; the second is rare.
    An invalid action anywhere in the batch raises before any row has stepped, whichever thread has the row.
    Gives 0.
    """
    start, stop, limit = rows.start(), rows.stop(), rows.limit()
    valid = True
    for row in range(rows.count()):
        valid &= rows.valid_action(row)
    if not valid:
        raise ValueError("invalid action")

    for row in range(start, stop):
        rows.visit(row)
        env = rows.load(row)
        reward, terminated = env.step(rows.action(row))
        env.elapsed += 1
        rows.outcome(row, reward, terminated, env.elapsed >= limit)
        rows.observe(row, env)
        rows.store(row, env)

    for row in range(start, stop):
        if rows.ended(row):
            rows.visit(row)
            rows.keep_final_observation(row)
            env = rows.load(row)
            env.elapsed = 0
            env.reset()
            rows.observe(row, env)
            rows.store(row, env)
    return 0
