"""What a memory and an encoder are for: CartPole without velocities, and a gridworld seen as pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SEEDS = [pytest.param(0, marks=pytest.mark.smoke), 1, 2]
ENGINES = ("torch", "jax")
BLIND = (
    "--env.velocities false --total-steps 199000 --vector.num-envs 32 --normalize-reward --policy.normalize-observation"
)
GRID = (
    "--env.size 5 --env.scale 2 --policy cnn --vector.num-envs 32 --learning-rate 2e-3 --gamma 0.95 "
    "--entropy-coefficient 0.01 --total-steps 199000"
)
OPEN_GRID = (
    "--env.size 5 --env.scale 2 --env.density 0 --policy cnn --policy.layer-sizes 128 --vector.num-envs 32 "
    "--learning-rate 4e-3 --gamma 0.9 --gae-lambda 0.9 --epochs 3 --entropy-coefficient 0.002 --total-steps 29000"
)
"""Without walls inside, which take most of the steps to learn: a seventh of them, for every run of the tests."""


@pytest.mark.learning
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("policy", ["lstm", "gru", "mingru"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_memory_sees_velocities(learn: Callable[..., float], engine: str, policy: str, seed: int) -> None:
    options = (*BLIND.split(), "--policy", policy, "--policy.hidden-size", "64", "--backend", engine)
    assert learn("cartpole", seed, *options, enough=490) >= 450


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_memory_it_cannot(learn: Callable[..., float], engine: str, seed: int) -> None:
    assert learn("cartpole", seed, *BLIND.split(), "--backend", engine) < 150


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_gridworld_is_learned_from_its_pixels(learn: Callable[..., float], engine: str, seed: int) -> None:
    assert learn("gridworld", seed, *GRID.split(), "--backend", engine, enough=0.968) > 0.95


@pytest.mark.smoke
@pytest.mark.parametrize("engine", ENGINES)
def test_an_open_gridworld_is_learned_from_its_pixels(learn: Callable[..., float], engine: str) -> None:
    """No row of the table, so it is not marked `learning`."""
    assert learn("gridworld", 0, *OPEN_GRID.split(), "--backend", engine) > 0.95
