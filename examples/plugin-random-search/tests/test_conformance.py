"""The plugin and its trainer against the suites of their contracts."""

from puffer_testing import PluginConformance, TrainerConformance


class TestPlugin(PluginConformance):
    distribution = "puffer-random-search"


class TestRandomSearch(TrainerConformance):
    name = "random-search"
    options = {"horizon": 8, "backend": "numpy", "vector": {"num_envs": 4}}
