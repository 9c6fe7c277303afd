"""The same seed gives the same run: parameters and metrics, byte for byte, in processes of their own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import json, sys
import puffer_core
for env, mode, seed in json.loads(sys.argv[1]):
    options = {"total_steps": 4096, "eval_episodes": 5, "normalize_reward": True}
    options |= {"policy": {"normalize_observation": True}, "vector": {"mode": mode}}
    puffer_core.train("ppo", env=env, seed=seed, run=f"{env}-{seed}", quiet=True, **options)
"""
ENVS = {"cartpole": "native", "Pendulum-v1": "serial"}
"""And the mode, which would be chosen by how long a step takes; with workers there are metrics of them."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Runs of two processes: each env with two seeds, and each once more, in another order."""
    places = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("again")
    orders = [(*env, seed) for env in ENVS.items() for seed in (0, 1)], [(*env, 0) for env in reversed(ENVS.items())]
    for place, order in zip(places, orders, strict=True):
        subprocess.run([sys.executable, "-c", TRAIN, json.dumps(order)], check=True, capture_output=True, cwd=place)
    return places


def digests(run: Path) -> tuple[str, str]:
    """sha256 of the parameters' file, and of `metrics.jsonl` without its times."""
    params = next(run.glob("checkpoints/*/policy.safetensors")).read_bytes()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 4
    untimed = [
        {name: value for name, value in line.items() if not name.startswith(("time/", "system/"))} for line in lines
    ]
    return hashlib.sha256(params).hexdigest(), hashlib.sha256(json.dumps(untimed).encode()).hexdigest()


@pytest.mark.parametrize("env", ENVS)
def test_a_seed_decides_parameters_and_metrics(runs: tuple[Path, Path], env: str) -> None:
    first, again = runs
    found = digests(first / f"{env}-0")
    other = digests(first / f"{env}-1")
    assert found == digests(again / f"{env}-0")
    assert found[0] != other[0]
    assert found[1] != other[1]
