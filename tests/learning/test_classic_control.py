"""PPO on small control tasks: what it must reach, and within how many steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PENDULUM = Path(__file__).parents[2] / "examples" / "pendulum.toml"
SEEDS = (0, 1, 2)
WITHIN_100K, WITHIN_200K = "99000", "199000"  # the update under way is finished: these end at 99,328 and 199,680 steps


@pytest.mark.learning
@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.smoke), *SEEDS[1:]])
def test_cartpole_is_solved_with_defaults(learn: Callable[..., float], seed: int) -> None:
    assert learn("cartpole", seed, enough=495) >= 475


@pytest.mark.learning
@pytest.mark.parametrize("seed", SEEDS)
def test_gymnasiums_cartpole_is_solved_with_defaults(learn: Callable[..., float], seed: int) -> None:
    assert learn("CartPole-v1", seed, "--total-steps", WITHIN_100K) >= 475


@pytest.mark.learning
@pytest.mark.parametrize("seed", SEEDS)
def test_acrobot_swings_up_with_defaults(learn: Callable[..., float], seed: int) -> None:
    assert learn("acrobot", seed, "--total-steps", WITHIN_200K, sample=True) >= -150  # random: -500


@pytest.mark.learning
@pytest.mark.parametrize("seed", SEEDS)
def test_pendulum_swings_up(learn: Callable[..., float], seed: int) -> None:
    assert learn("Pendulum-v1", seed, "--config", str(PENDULUM), "--total-steps", WITHIN_200K) >= -250
