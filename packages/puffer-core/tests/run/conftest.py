"""Loads the helper modules beside the tests, which importlib mode does not put on the path."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from puffer_core import api
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run
from puffer_core.run.loop import execute
from puffer_core.run.signals import RunStopped
from puffer_testing.loading import load_module

PLANS = "puffer_core_run_plans"


@pytest.fixture(scope="session")
def plans() -> ModuleType:
    """The module `plans`."""
    module = load_module(Path(__file__).with_name("plans.py"), PLANS)
    module.parts()
    return module


@pytest.fixture
def host(plans: ModuleType) -> PluginHost:
    """A host that knows the plugins of this repository, and the parts of the tests."""
    return discovered(plans)


def discovered(plans: ModuleType) -> PluginHost:
    host = PluginHost.discover(third_party=False, environ={})
    plans.register(host)
    return host


@pytest.fixture(scope="session")
def trained_once(plans: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "mine"
    execute(plans.plan(path, total_steps=24, checkpoint_every=8), discovered(plans))
    return path


@pytest.fixture
def saved_run(trained_once: Path, tmp_path: Path) -> Path:
    """The finished run `runs/mine`, a copy to change, which saved at steps 8, 16 and 24."""
    return Path(shutil.copytree(trained_once, tmp_path / "runs" / "mine"))


@pytest.fixture
def train(host: PluginHost, tmp_path: Path) -> Callable[..., Run]:
    """Train `search` in `walk`, 8 steps an update, 32 in all, every checkpoint kept, as `puffer train` does."""
    usual: dict[str, Any] = {"total_steps": 32, "eval_episodes": 2, "keep_last": 0, "vector": {"num_envs": 2}}

    def trained(name: str, **options: Any) -> Run:
        return api.train("search", env="walk", run=tmp_path / name, host=host, **(usual | options))

    return trained


@pytest.fixture
def stop(train: Callable[..., Run], tmp_path: Path) -> Callable[..., Path]:
    """The same, stopped by SIGTERM in the update that ends at step 16, saved each 8; gives the run's directory."""

    def stopped(name: str = "r", **options: Any) -> Path:
        with pytest.raises(RunStopped):
            train(name, **({"checkpoint_every": 8, "signal_at": 2} | options))
        return tmp_path / name

    return stopped
