"""Rows that are written at once: neighbours that see the same kind of array, while every agent lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from puffer_core.vector.columns import ColumnWriter, Target
from puffer_env_pettingzoo.team import Agent, Team


@dataclass(frozen=True)
class Block:
    """Agents in neighbouring rows whose observations have one layout.

    Args:
        rows: theirs, within the environment.
        agents: in row order.
        writer: of the only leaf that they see.
        width: elements that they see, where rows are longer; None where they are not.
    """

    rows: slice
    agents: tuple[Agent, ...]
    writer: ColumnWriter
    width: int | None

    def target(self, observation: np.ndarray[Any, Any]) -> tuple[Target, np.ndarray[Any, Any] | None]:
        """Where they lie in a slot `[agents, *observation]`, and the zeros behind them, if there are any."""
        rows = observation[self.rows]
        if self.width is None:
            return Target.of(rows), None
        return Target.of(rows[:, : self.width]), rows[:, self.width :]


def blocks_of(team: Team) -> Sequence[Block]:
    """The blocks that all rows consist of; none, where an observation is nested or holds a mask."""
    if not all(role.plain for role in team.roles):
        return ()
    agents = list(team.row)
    blocks = []
    for layout, rows in groupby(range(len(agents)), key=lambda row: team.of_row(row).observation):
        own = list(rows)
        width = None if layout.shape == team.observation.shape else layout.shape[0]
        members = tuple(agents[own[0] : own[-1] + 1])
        blocks.append(Block(slice(own[0], own[-1] + 1), members, ColumnWriter(layout.leaves[0]), width))
    return blocks
