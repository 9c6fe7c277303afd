"""What a multi-agent env did wrong, before anybody knows which of the batch it is."""

from __future__ import annotations

from typing import Any


class BrokenEnvError(Exception):
    """An env broke its own interface; the vector env says which one, when, and how it was seeded.

    Args:
        what: got and expected.
        agent: whom it concerns, if one agent.
    """

    def __init__(self, what: str, agent: Any = None) -> None:
        super().__init__(what if agent is None else f"agent {agent!r}: {what}")
