"""Puffer's core: six contracts, the plugin host, and the machinery that every trainer shares.

Importing this module is light: plugins do it while they are discovered. Names that need NumPy, Gymnasium or
pydantic are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.errors import (
    CheckpointError,
    EnvError,
    PluginError,
    PufferError,
    ResourceError,
    ShapeError,
    UnsupportedError,
    UsageError,
)
from puffer_core.hookspecs import hookimpl
from puffer_core.lazy import lazy_names
from puffer_core.specs import (
    BackendSpec,
    CheckpointableSpec,
    CommandSpec,
    EnvSpec,
    LoggerSpec,
    PolicySpec,
    TrainerSpec,
)

if TYPE_CHECKING:
    from puffer_core.api import Run, evaluate, export, load_policy, resume, train
    from puffer_core.contracts.backend import Backend
    from puffer_core.contracts.checkpointable import Checkpointable
    from puffer_core.contracts.env import EnvBuffers, VectorEnv, VectorEnvSpec
    from puffer_core.contracts.logger import MetricLogger
    from puffer_core.contracts.ops import Ops
    from puffer_core.contracts.policy import Agent, Policy, PolicyInterface
    from puffer_core.contracts.trainer import Collector, Rollout, Trainer, TrainerContext
    from puffer_core.observation_batch import ObservationBatch
    from puffer_core.seeds import train_seeds
    from puffer_core.spaces.layout import Layout

_LAZY = {
    "Agent": "puffer_core.contracts.policy",
    "Backend": "puffer_core.contracts.backend",
    "Checkpointable": "puffer_core.contracts.checkpointable",
    "Collector": "puffer_core.contracts.trainer",
    "EnvBuffers": "puffer_core.contracts.env",
    "Layout": "puffer_core.spaces.layout",
    "MetricLogger": "puffer_core.contracts.logger",
    "ObservationBatch": "puffer_core.observation_batch",
    "Ops": "puffer_core.contracts.ops",
    "Policy": "puffer_core.contracts.policy",
    "PolicyInterface": "puffer_core.contracts.policy",
    "Rollout": "puffer_core.contracts.trainer",
    "Run": "puffer_core.api",
    "Trainer": "puffer_core.contracts.trainer",
    "TrainerContext": "puffer_core.contracts.trainer",
    "VectorEnv": "puffer_core.contracts.env",
    "VectorEnvSpec": "puffer_core.contracts.env",
    "evaluate": "puffer_core.api",
    "export": "puffer_core.api",
    "load_policy": "puffer_core.api",
    "resume": "puffer_core.api",
    "train": "puffer_core.api",
    "train_seeds": "puffer_core.seeds",
}

__all__ = [
    "Agent",
    "Backend",
    "BackendSpec",
    "CheckpointError",
    "Checkpointable",
    "CheckpointableSpec",
    "Collector",
    "CommandSpec",
    "EnvBuffers",
    "EnvError",
    "EnvSpec",
    "Layout",
    "LoggerSpec",
    "MetricLogger",
    "ObservationBatch",
    "Ops",
    "PluginError",
    "Policy",
    "PolicyInterface",
    "PolicySpec",
    "PufferError",
    "ResourceError",
    "Rollout",
    "Run",
    "ShapeError",
    "Trainer",
    "TrainerContext",
    "TrainerSpec",
    "UnsupportedError",
    "UsageError",
    "VectorEnv",
    "VectorEnvSpec",
    "evaluate",
    "export",
    "hookimpl",
    "load_policy",
    "resume",
    "train",
    "train_seeds",
]


__getattr__ = lazy_names(__name__, _LAZY)
