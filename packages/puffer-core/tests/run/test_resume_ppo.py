"""PPO itself, over native and Gymnasium envs: half a run, restored, ends as the whole one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.checkpoint import load
from puffer_core.plugins import PluginHost
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.record import RunRecord

pytest.importorskip("puffer_ppo")
pytest.importorskip("puffer_env_native")
pytest.importorskip("puffer_backend_torch")

OPTIONS: dict[str, Any] = {
    "total_steps": 512,
    "horizon": 32,
    "vector": {"num_envs": 4},
    "normalize_reward": True,
    "policy": {"hidden_sizes": [16]},
}


def context(host: PluginHost, env: str) -> Any:
    from puffer_core.config import resolve

    return closing(RunContext(resolve(host, "ppo", env, overrides=OPTIONS, environ={}), host))


def advance(trainer: Any, until: int) -> None:
    while trainer.progress < until:
        trainer.update()


@pytest.mark.parametrize("env", ["cartpole", "pendulum"])
def test_ppo_goes_on_bit_for_bit(host: PluginHost, tmp_path: Path, env: str) -> None:
    with context(host, env) as first:
        trainer = first.trainer()
        advance(trainer, 256)
        with RunDirectory(tmp_path / "r", "ppo", env) as directory:
            (directory.path / "metrics.jsonl").touch()
            saved = load(persistence.save(first, trainer, RunRecord(), directory))
        advance(trainer, 512)
        whole = first.backend.to_numpy(trainer.agent.params)
    assert saved.manifest.resume.bitwise, saved.manifest.resume.reasons
    with context(host, env) as second:
        again = second.trainer()
        persistence.restore(second, again, RunRecord(), saved)
        assert again.progress == 256
        advance(again, 512)
        found = second.backend.to_numpy(again.agent.params)
    assert whole.keys() == found.keys()
    for name in whole:
        assert np.array_equal(whole[name], found[name]), name
