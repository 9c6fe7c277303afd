"""PPO on five envs that nobody here wrote: each learns above uniformly random actions, by a stated margin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

LANDER = (
    "--horizon 128 --vector.num-envs 16 --minibatches 8 --learning-rate 1e-3 --gamma 0.999 --gae-lambda 0.98 "
    "--normalize-reward --policy.normalize-observation --total-steps 400000"
)


class Task(NamedTuple):
    """How an env is learned, and by how much the mean return of an episode must beat that of random actions."""

    env: str
    options: str
    margin: float
    sample: bool = False
    random: dict[str, Any] = {}


TASKS = (
    Task(
        "minigrid:MiniGrid-DoorKey-5x5-v0",
        "--env.without mission --horizon 128 --vector.num-envs 16 --minibatches 8 --learning-rate 1e-3 "
        "--entropy-coefficient 0.01 --policy.normalize-observation --total-steps 150000",
        margin=0.9,
        random={"without": ["mission"]},
    ),
    Task("LunarLander-v3", LANDER, margin=300.0),
    Task("py:throttled_lander:make", LANDER, margin=200.0),
    Task(
        "pettingzoo:butterfly/knights_archers_zombies_v11",
        "--horizon 128 --vector.num-envs 8 --minibatches 8 --learning-rate 1e-3 --total-steps 40000",
        margin=0.5,
        sample=True,
    ),
    Task(
        "mpe2:simple_spread_v3",
        "--horizon 25 --vector.num-envs 16 --learning-rate 1e-3 --gamma 0.95 --epochs 10 --normalize-reward "
        "--total-steps 100000",
        margin=5.0,
    ),
)


@pytest.mark.learning
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.env)
def test_it_learns_above_random(
    learn: Callable[..., float], random_return: Callable[..., float], task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", here)
    random = random_return(task.env, **task.random)
    learned = learn(task.env, 0, *task.options.split(), sample=task.sample, random_return=round(random, 2))
    assert learned >= random + task.margin
