"""Conformance suites, one for each contract: subclass one in a test file, and pytest runs it on your component."""

from puffer_testing.backend import BackendConformance
from puffer_testing.checkpointable import CheckpointableConformance
from puffer_testing.env import EnvConformance
from puffer_testing.logger import LoggerConformance
from puffer_testing.plugin import PluginConformance
from puffer_testing.policy import PolicyConformance
from puffer_testing.trainer import TrainerConformance

__all__ = [
    "BackendConformance",
    "CheckpointableConformance",
    "EnvConformance",
    "LoggerConformance",
    "PluginConformance",
    "PolicyConformance",
    "TrainerConformance",
]
