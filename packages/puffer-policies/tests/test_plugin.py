"""The distribution as the plugin host sees it."""

from puffer_testing import PluginConformance


class TestPlugin(PluginConformance):
    distribution = "puffer-policies"
