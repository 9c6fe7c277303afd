"""Checkpointable: whoever has state that a resumed run needs."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

State: TypeAlias = dict[str, Any]
"""A nested dict, keys are strings, leaves arrays of any engine, or JSON values (str, int, float, bool, None, list)."""


@runtime_checkable
class Checkpointable(Protocol):
    """Has state, gives it as data, and takes it back.

    The state is arrays and JSON values only: it is written as safetensors and JSON, never pickled. What
    `state_dict` returns may share memory with the component: a writer copies before training goes on.
    After `b.load_state_dict(a.state_dict())`, `b` behaves as `a` would have, bit for bit.

    A component may also have `migrate(state, version) -> State`, which lifts a state that an older
    `STATE_VERSION` wrote; without it, a state of another version is refused.
    """

    STATE_VERSION: int

    def state_dict(self) -> State:
        """Everything that a resumed run needs from this component."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave.

        Raises:
            CheckpointError: a key is missing or superfluous, or a shape or dtype differs; nothing was changed.
        """
        ...
