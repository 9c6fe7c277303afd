"""Loads the helper modules beside the tests, which importlib mode does not put on the path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from puffer_core.plugins import PluginHost

PLANS = "puffer_core_run_plans"


@pytest.fixture(scope="session")
def plans() -> ModuleType:
    """The module `plans`."""
    if PLANS not in sys.modules:
        spec = importlib.util.spec_from_file_location(PLANS, Path(__file__).with_name("plans.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[PLANS] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[PLANS])
    sys.modules[PLANS].parts()
    return sys.modules[PLANS]


@pytest.fixture
def host(plans: ModuleType) -> PluginHost:
    """A host that knows the plugins of this repository, and the parts of the tests."""
    host = PluginHost.discover(third_party=False, environ={})
    plans.register(host)
    return host
