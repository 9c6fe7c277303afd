"""Conformance suites, one for each contract: subclass one in a test file, and pytest runs it on your component.

And components that fail on purpose, to test what has to survive them.
"""

from puffer_testing.backend import BackendConformance
from puffer_testing.chaos import ChaosDictEnv, ChaosEnv, chaos_outcome
from puffer_testing.chaos_logger import ChaosLogger
from puffer_testing.checkpointable import CheckpointableConformance
from puffer_testing.env import EnvConformance
from puffer_testing.failing_files import Crashed, FailingFiles, Operation
from puffer_testing.logger import LoggerConformance
from puffer_testing.parity import ParityConformance
from puffer_testing.plugin import PluginConformance
from puffer_testing.policy import PolicyConformance
from puffer_testing.policy_cases import PolicyUse, policy_cases
from puffer_testing.trainer import TrainerConformance

__all__ = [
    "BackendConformance",
    "ChaosDictEnv",
    "ChaosEnv",
    "ChaosLogger",
    "CheckpointableConformance",
    "Crashed",
    "EnvConformance",
    "FailingFiles",
    "LoggerConformance",
    "Operation",
    "ParityConformance",
    "PluginConformance",
    "PolicyConformance",
    "PolicyUse",
    "TrainerConformance",
    "chaos_outcome",
    "policy_cases",
]
