"""Conformance suites, one for each contract: subclass one in a test file, and pytest runs it on your component.

And components that fail on purpose, to test what has to survive them.

Names are imported when they are first used: processes that fail on purpose start without the suites.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
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
    from puffer_testing.policy_parity import PolicyUse, policy_cases, tree_case
    from puffer_testing.trainer import TrainerConformance

_LAZY = {
    "BackendConformance": "puffer_testing.backend",
    "ChaosDictEnv": "puffer_testing.chaos",
    "ChaosEnv": "puffer_testing.chaos",
    "ChaosLogger": "puffer_testing.chaos_logger",
    "CheckpointableConformance": "puffer_testing.checkpointable",
    "Crashed": "puffer_testing.failing_files",
    "EnvConformance": "puffer_testing.env",
    "FailingFiles": "puffer_testing.failing_files",
    "LoggerConformance": "puffer_testing.logger",
    "Operation": "puffer_testing.failing_files",
    "ParityConformance": "puffer_testing.parity",
    "PluginConformance": "puffer_testing.plugin",
    "PolicyConformance": "puffer_testing.policy",
    "PolicyUse": "puffer_testing.policy_parity",
    "TrainerConformance": "puffer_testing.trainer",
    "chaos_outcome": "puffer_testing.chaos",
    "policy_cases": "puffer_testing.policy_parity",
    "tree_case": "puffer_testing.policy_parity",
}

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
    "tree_case",
]

__getattr__ = lazy_names(__name__, _LAZY)
