"""The plugin and its logger keep their contracts."""

from __future__ import annotations

from typing import Any

from puffer_testing import LoggerConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "puffer-logger-wandb"


class TestWandb(LoggerConformance):
    name = "wandb"
    options: dict[str, Any] = {"mode": "offline"}
