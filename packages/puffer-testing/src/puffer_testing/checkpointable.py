"""The conformance suite of the Checkpointable contract.

from puffer_testing import CheckpointableConformance

class TestMine(CheckpointableConformance):
    def make(self): return Mine()
    def advance(self, component): component.add(1)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from puffer_core.checkpoints.statefile import decode, encode
from puffer_core.contracts.checkpointable import Checkpointable, State
from puffer_core.errors import CheckpointError


def refuses(component: Checkpointable, state: State) -> bool:
    """Whether a component refuses a state, with the error that is due."""
    try:
        component.load_state_dict(state)
    except CheckpointError:
        return True
    return False


class CheckpointableConformance:
    """A state goes to the files of a checkpoint and comes back, whole. Override `make` and `advance`."""

    free: tuple[str, ...] = ()
    """Keys of arrays whose length is part of the state."""

    def make(self) -> Checkpointable:
        """A fresh component; equal at every call."""
        raise NotImplementedError

    def advance(self, component: Any) -> None:
        """Change the component's state, by the same amount at every call."""
        raise NotImplementedError

    def to_numpy(self, value: Any) -> np.ndarray:
        """An array of the component as NumPy's, for components that hold another engine's."""
        return np.asarray(value)

    def test_is_checkpointable(self) -> None:
        component = self.make()
        assert isinstance(component, Checkpointable), "it lacks STATE_VERSION, state_dict or load_state_dict"
        assert isinstance(component.STATE_VERSION, int), f"STATE_VERSION is {component.STATE_VERSION!r}, no int"

    def test_a_state_survives_its_files(self) -> None:
        component = self.make()
        self.advance(component)
        files = self._files(component.state_dict())
        assert self._files(decode(files)) == files

    def test_a_restored_component_goes_on_as_the_first_would_have(self) -> None:
        first, second = self.make(), self.make()
        self.advance(first)
        second.load_state_dict(self._through_files(first.state_dict()))
        assert self._files(second.state_dict()) == self._files(first.state_dict()), "a state comes back differently"
        for component in (first, second):
            self.advance(component)
        assert self._files(second.state_dict()) == self._files(first.state_dict()), "a restored one goes on differently"

    def test_a_used_component_takes_a_state_back_too(self) -> None:
        component = self.make()
        self.advance(component)
        once = self._files(component.state_dict())
        self.advance(component)
        component.load_state_dict(decode(once))
        assert self._files(component.state_dict()) == once, "something of the old state stayed"

    def test_advancing_changes_the_state(self) -> None:
        component = self.make()
        before = self._files(component.state_dict())
        self.advance(component)
        assert self._files(component.state_dict()) != before, "what `advance` changes is missing from the state"

    def test_asking_for_the_state_changes_nothing(self) -> None:
        asked, left = self.make(), self.make()
        for component in (asked, left):
            self.advance(component)
        asked.state_dict()
        for component in (asked, left):
            self.advance(component)
        assert self._files(asked.state_dict()) == self._files(left.state_dict()), "state_dict() changes what follows"

    def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(self) -> None:
        component, other = self.make(), self.make()
        self.advance(other)
        before = self._files(component.state_dict())
        for what, state in self._misfits(self._through_files(other.state_dict())):
            assert refuses(component, state), f"a state {what} was taken"
            assert self._files(component.state_dict()) == before, f"a state {what} was refused, but partly loaded"

    def _misfits(self, state: State) -> Iterator[tuple[str, State]]:
        for key, value in state.items():
            yield f"without {key!r}", {name: other for name, other in state.items() if name != key}
            if isinstance(value, np.ndarray) and key not in self.free:
                yield f"with a longer {key!r}", {**state, key: np.concatenate([value.ravel(), value.ravel(), [0]])}
        yield "with a key that nobody knows", {**state, "no-such-key": 0}

    def _files(self, state: State) -> dict[str, bytes]:
        return encode(state, self.to_numpy)

    def _through_files(self, state: State) -> State:
        return decode(self._files(state))
