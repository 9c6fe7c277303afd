"""The same seed gives the same run: parameters and metrics, byte for byte, in processes of their own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = ("--total-steps", "8192", "--eval-episodes", "5", "--normalize-reward", "--policy.normalize-observation")


def digests(run: Path, seed: int, env: str) -> tuple[str, str]:
    """sha256 of the parameters' file, and of `metrics.jsonl` without its times."""
    command = [
        sys.executable,
        "-m",
        "puffer_core",
        "train",
        "ppo",
        env,
        "--seed",
        str(seed),
        "--run",
        str(run),
        "--quiet",
    ]
    subprocess.run([*command, *OPTIONS], check=True, capture_output=True)
    params = next(run.glob("checkpoints/*/policy.safetensors")).read_bytes()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 8
    untimed = [
        {name: value for name, value in line.items() if not name.startswith(("time/", "system/"))} for line in lines
    ]
    return tuple(hashlib.sha256(data).hexdigest() for data in (params, json.dumps(untimed).encode()))  # type: ignore[return-value]


@pytest.mark.parametrize("env", ["cartpole", "Pendulum-v1"])
def test_a_seed_decides_parameters_and_metrics(tmp_path: Path, env: str) -> None:
    first, again, other = (digests(tmp_path / name, seed, env) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]
