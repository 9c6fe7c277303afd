"""What an earlier process logged, read from wandb's own files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb

from puffer_core.contracts.logger import RunInfo
from puffer_logger_wandb import WandbConfig, WandbLogger
from puffer_logger_wandb.rows import last_row

KILLED = """
import os, signal, sys
from pathlib import Path
from puffer_core.contracts.logger import RunInfo
from puffer_logger_wandb import WandbConfig, WandbLogger

run = RunInfo(id="killed", directory=Path(sys.argv[1]), trainer="t", source="e", config={}, unit="env_steps")
logger = WandbLogger(WandbConfig(mode="offline"))
logger.open(run, None)
for step in range(0, 4000, 10):
    logger.log(step, {f"metric{i}": float(step) for i in range(30)})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_says_what_it_has_and_repeats_nothing(
    tmp_path: Path, info: Callable[..., RunInfo], read: Callable[[Path], list[dict[str, object]]]
) -> None:
    wandb.teardown()  # the service that starts next stands in the variables, where the other process finds it
    before = WandbLogger(WandbConfig(mode="offline"))
    before.open(info(tmp_path / "before", "before"), None)
    before.close()
    assert "WANDB_SERVICE" in os.environ
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    logger = WandbLogger(WandbConfig(mode="offline"))
    there = logger.open(info(tmp_path, "killed"), 3990)
    assert there is not None
    for step in range(0, 4100, 10):
        logger.log(step, {"metric0": float(step)})
    logger.close()
    records = [record["history"] for record in read(tmp_path) if record["type"] == "history"]
    assert [int(record["item"]["_step"]) for record in records] == list(range(0, 4100, 10))  # type: ignore[index]


def test_there_is_nothing_of_a_run_that_never_was(tmp_path: Path) -> None:
    assert last_row(tmp_path, "killed") is None


@pytest.mark.parametrize("data", [b"", b":W&B\xe1\xbe\x00", b":W&B\xe1\xbe\x00" + b"\0" * 40, b"x" * 100])
def test_a_file_without_rows_has_none(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "wandb" / "offline-run-1-killed").mkdir(parents=True)
    (tmp_path / "wandb" / "offline-run-1-killed" / "run-killed.wandb").write_bytes(data)
    assert last_row(tmp_path, "killed") == -1
