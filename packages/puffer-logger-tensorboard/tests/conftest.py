"""A run to log, and TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from puffer_core.contracts.logger import RunInfo


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    config = {"seed": 7, "policy": {"name": "mlp", "hidden_sizes": [64, 64], "dual": False}, "env": {}, "target": None}
    return RunInfo(id="a-run", directory=tmp_path, trainer="ppo", source="cartpole", config=config, unit="env_steps")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Where the run's events are."""
    return tmp_path / "tensorboard"


@pytest.fixture
def read(events: Path) -> Callable[[], EventAccumulator]:
    """Everything as TensorBoard reads it, nothing left out."""

    def reload() -> EventAccumulator:
        everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0, "compressedHistograms": 1, "audio": 1}
        return EventAccumulator(str(events), size_guidance=everything).Reload()

    return reload
