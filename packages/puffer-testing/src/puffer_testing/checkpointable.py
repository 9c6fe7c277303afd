"""The conformance suite of the Checkpointable contract.

from puffer_testing import CheckpointableConformance

class TestMine(CheckpointableConformance):
    def make(self): return Mine()
    def advance(self, component): component.add(1)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.checkpointable import Checkpointable, State
from puffer_core.errors import CheckpointError
from puffer_core.statefile import decode, encode


class CheckpointableConformance:
    """A state goes to the files of a checkpoint and comes back, whole. Override `make` and `advance`."""

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
        assert isinstance(component, Checkpointable)
        assert isinstance(component.STATE_VERSION, int)

    def test_a_state_survives_its_files(self) -> None:
        component = self.make()
        self.advance(component)
        self._assert_same(self._through_files(component.state_dict()), component.state_dict())

    def test_a_restored_component_goes_on_as_the_first_would_have(self) -> None:
        first, second = self.make(), self.make()
        self.advance(first)
        second.load_state_dict(self._through_files(first.state_dict()))
        self._assert_same(second.state_dict(), first.state_dict())
        for component in (first, second):
            self.advance(component)
        self._assert_same(second.state_dict(), first.state_dict())

    def test_advancing_changes_the_state(self) -> None:
        component = self.make()
        before = self._files(component.state_dict())
        self.advance(component)
        assert self._files(component.state_dict()) != before, "what `advance` changes is missing from the state"

    def test_a_state_that_lacks_something_is_refused_and_changes_nothing(self) -> None:
        component, other = self.make(), self.make()
        self.advance(other)
        before = self._files(component.state_dict())
        for key in other.state_dict():
            state = {name: value for name, value in other.state_dict().items() if name != key}
            with pytest.raises((CheckpointError, KeyError)):
                component.load_state_dict(state)
            assert self._files(component.state_dict()) == before, f"a state without {key!r} was partly loaded"

    def _files(self, state: State) -> dict[str, bytes]:
        return encode(state, self.to_numpy)

    def _through_files(self, state: State) -> State:
        return decode(self._files(state))

    def _assert_same(self, got: State, expected: State) -> None:
        assert self._files(got) == self._files(expected)
