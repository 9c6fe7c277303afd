"""The conformance suite of the MetricLogger contract.

from puffer_testing import LoggerConformance

class TestMine(LoggerConformance):
    name = "mine"
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.logger import MetricLogger, RunInfo
from puffer_testing.components import build

KEYS = ("loss/policy", "episode/return", "time/steps_per_second")


class LoggerConformance:
    """A logger takes whatever a run gives it, and never gives trouble back. Set `name`."""

    name = ""
    options: dict[str, Any] = {}

    def make(self) -> MetricLogger:
        """The logger under test; called for every test."""
        logger: MetricLogger = build("logger", self.name, self.options)
        return logger

    @pytest.fixture
    def run(self, tmp_path: Path) -> RunInfo:
        return RunInfo(
            id="2026-01-01_0000_ppo_cartpole_0000",
            directory=tmp_path,
            trainer="ppo",
            source="cartpole",
            config={"seed": 0, "policy": {"name": "mlp", "hidden_sizes": [64, 64]}},
            unit="env_steps",
        )

    def test_is_a_logger(self) -> None:
        assert isinstance(self.make(), MetricLogger)

    def test_a_run_is_logged(self, run: RunInfo) -> None:
        logger = self.make()
        logger.open(run, None)
        for step in range(0, 300, 100):
            logger.log(step, dict.fromkeys(KEYS, float(step)))
        logger.close()

    def test_numbers_that_are_none_are_taken(self, run: RunInfo) -> None:
        logger = self.make()
        logger.open(run, None)
        logger.log(1, dict(zip(KEYS, (math.nan, math.inf, -math.inf), strict=True)))
        logger.close()

    def test_metrics_stay_the_callers(self, run: RunInfo) -> None:
        logger, metrics = self.make(), dict.fromkeys(KEYS, 1.0)
        logger.open(run, None)
        logger.log(1, metrics)
        logger.close()
        assert metrics == dict.fromkeys(KEYS, 1.0)

    def test_every_kind_of_artifact_is_taken_or_dropped(self, run: RunInfo) -> None:
        logger, file = self.make(), run.directory / "note.txt"
        file.write_text("a file")
        logger.open(run, None)
        logger.artifact(1, "frame", "image", np.zeros((4, 6, 3), np.uint8))
        logger.artifact(1, "episode", "video", np.zeros((2, 4, 6, 3), np.uint8))
        logger.artifact(1, "weights", "histogram", np.linspace(-1, 1, 50))
        logger.artifact(1, "note", "text", "hello")
        logger.artifact(1, "note", "file", file)
        logger.close()

    def test_a_resumed_run_goes_on(self, run: RunInfo) -> None:
        first = self.make()
        first.open(run, None)
        first.log(100, dict.fromkeys(KEYS, 1.0))
        first.close()
        second = self.make()
        second.open(run, 100)
        second.log(200, dict.fromkeys(KEYS, 2.0))
        second.close()

    def test_a_run_that_goes_back_is_taken(self, run: RunInfo) -> None:
        first = self.make()
        first.open(run, None)
        for step in (100, 200, 300):
            first.log(step, dict.fromkeys(KEYS, 1.0))
        first.close()
        second = self.make()
        there = second.open(run, 100)
        assert there is None or there >= -1, "open gives the last step that the logger has, or None for last_step"
        for step in (200, 300, 400):
            if there is None or step > there:
                second.log(step, dict.fromkeys(KEYS, 2.0))
        second.close()

    def test_its_life_is_in_one_thread_that_is_not_the_main_one(self, run: RunInfo) -> None:
        with ThreadPoolExecutor(1) as thread:
            logger = self.make()
            thread.submit(logger.open, run, None).result()
            thread.submit(logger.log, 1, dict.fromkeys(KEYS, 1.0)).result()
            thread.submit(logger.artifact, 1, "weights", "histogram", np.linspace(-1, 1, 50)).result()
            thread.submit(logger.close).result()

    def test_a_call_may_come_again(self, run: RunInfo) -> None:
        logger = self.make()
        logger.open(run, None)
        for step in (1, 2, 2, 3):
            logger.log(step, dict.fromkeys(KEYS, 1.0))
        logger.close()

    def test_closing_twice_is_safe(self, run: RunInfo) -> None:
        logger = self.make()
        logger.open(run, None)
        logger.close()
        logger.close()
