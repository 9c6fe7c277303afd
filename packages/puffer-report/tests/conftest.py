"""Runs to report on: written as a run writes them, in whatever state a test needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

MakeRun: TypeAlias = Callable[..., Path]
CONFIG = {
    "trainer": "ppo", "source": "cartpole", "seed": 0, "total_steps": 4000, "eval_episodes": 20, "run": "",
    "backend": {"name": "torch", "device": "auto"}, "policy": {"name": "mlp", "hidden_sizes": [64, 64]},
    "clip": 0.2, "env": {},
}  # fmt: skip


def lines(count: int = 40, offset: float = 0.0) -> list[dict[str, Any]]:
    """Metrics like those of PPO, with an evaluation at every tenth update."""
    return [
        {
            "step": 100 * update,
            "episode/return": 2.0 * update + offset,
            "episode/return_recent": 1.0 * update + offset,
            "eval/return": 3.0 * update + offset if update % 10 == 0 else None,
            "eval/return_std": 0.5 if update % 10 == 0 else None,
            "loss/policy": 1 / update,
            "time/env": 0.2,
            "time/policy": 0.1,
            "time/learn": 0.5,
            "time/eval": 1.0 if update % 10 == 0 else None,
            "time/wall": update * 1.0,
        }
        for update in range(1, count + 1)
    ]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run's directory and gives its path."""

    def make(
        name: str = "mine", rows: Sequence[Mapping[str, Any]] | None = None, *, tail: str = "", **config: Any
    ) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps(CONFIG | config))
        (path / "plugins.json").write_text(json.dumps([{"name": "puffer-ppo", "version": "0.1.0", "status": "ok"}]))
        text = "".join(json.dumps(row) + "\n" for row in (lines() if rows is None else rows))
        (path / "metrics.jsonl").write_text(text + tail)
        return path

    return make


@pytest.fixture
def make_seeds(make_run: MakeRun) -> Callable[..., Path]:
    """Writes runs that differ in their seed alone, below one directory, and gives that."""

    def make(name: str = "many", seeds: int = 5, **config: Any) -> Path:
        for seed in range(seeds):
            path = make_run(f"{name}/seed-{seed}", lines(offset=float(seed)), seed=seed, **config)
        return path.parent

    return make
