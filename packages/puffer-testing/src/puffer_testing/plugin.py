"""The conformance suite of plugins: what the plugin host expects of a distribution.

from puffer_testing import PluginConformance

class TestMine(PluginConformance):
    distribution = "puffer-mine"
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel

from puffer_core.config.schema import section_of
from puffer_core.plugins import KINDS, PluginRecord
from puffer_testing.components import host, load

HEAVY = ("gymnasium", "jax", "numba", "numpy", "pydantic", "torch", "tyro")


class PluginConformance:
    """A distribution plugs in: it is found, describes what is there, and is light. Set `distribution`."""

    distribution = ""
    """Its name, as installed."""

    @pytest.fixture
    def record(self) -> PluginRecord:
        return self.installed()

    def installed(self) -> PluginRecord:
        """What the plugin host made of the distribution."""
        found = {record.name: record for record in host().records}
        assert self.distribution in found, f"{self.distribution!r} is not installed as a plugin; found {sorted(found)}"
        return found[self.distribution]

    def test_is_found_and_in_order(self, record: PluginRecord) -> None:
        assert record.status == "ok", record.reason

    def test_provides_something(self, record: PluginRecord) -> None:
        assert any(record.provides.values()), "the plugin implements no hook that registers anything"

    def test_every_target_can_be_imported(self) -> None:
        for provided in self._provided():
            assert callable(load(provided)), f"{provided.spec.target} is not callable"

    def test_every_option_is_documented_and_has_a_default(self) -> None:
        for provided in self._provided():
            model = host().load_config(provided)
            if model is None:
                continue
            assert issubclass(model, BaseModel), f"{provided.spec.config} is not a pydantic model"
            model()
            missing = sorted(".".join(option.key) for option in section_of(model).options() if not option.doc)
            assert not missing, f"{provided.spec.config}: options without a line of documentation: {missing}"

    def test_importing_it_is_light(self, record: PluginRecord) -> None:
        code = f"import sys, {record.module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert not done.stdout.split(), f"importing {record.module} imports {done.stdout.strip()}"

    def _provided(self) -> list[Any]:
        return [item for kind in KINDS for item in host().provided(kind) if item.distribution == self.distribution]
