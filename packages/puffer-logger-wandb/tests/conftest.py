"""Runs that are really written, and read back by wandb itself; never with a key of whoever runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from puffer_core.contracts.logger import RunInfo

Records = list[dict[str, Any]]


@pytest.fixture(autouse=True, scope="session")
def no_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, no mode, and a home of their own for what wandb keeps."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        home = tmp_path_factory.mktemp("home")
        patch.setenv("NETRC", str(home / "netrc"))
        for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, str(home / name))
        yield


@pytest.fixture(scope="session")
def info() -> Callable[..., RunInfo]:
    def make(directory: Path, id: str = "2026-01-01_0000_ppo_cartpole_0000") -> RunInfo:
        config = {"seed": 3, "policy": {"name": "mlp", "hidden_sizes": [64, 64]}}
        return RunInfo(id=id, directory=directory, trainer="ppo", source="cartpole", config=config, unit="env_steps")

    return make


@pytest.fixture(scope="session")
def read() -> Callable[[Path], Records]:
    """The records of each `.wandb` file below a directory, oldest file first, by wandb's own reader."""

    def records(directory: Path) -> Records:
        found: Records = []
        for file in sorted(directory.glob("wandb/*run-*/*.wandb")):
            command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
            found += [json.loads(line) for line in done.stdout.splitlines()]
        return found

    return records
