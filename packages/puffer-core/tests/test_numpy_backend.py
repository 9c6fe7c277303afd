"""The NumPy backend against the suite that every backend passes."""

from __future__ import annotations

from puffer_testing.backend import BackendConformance


class TestNumpyConformance(BackendConformance):
    name = "numpy"
