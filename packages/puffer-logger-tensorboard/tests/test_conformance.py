"""The suites that every logger and every plugin passes."""

from __future__ import annotations

from puffer_testing import LoggerConformance, PluginConformance


class TestTensorBoard(LoggerConformance):
    name = "tensorboard"


class TestPlugin(PluginConformance):
    distribution = "puffer-logger-tensorboard"
