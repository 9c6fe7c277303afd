"""The conformance suite of device envs, on its probe env; and that it finds what is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from puffer_core.numpy_backend import NumpyBackend
from puffer_testing.checking import run_check
from puffer_testing.components import host
from puffer_testing.device_env import DeviceEnvConformance
from puffer_testing.device_walk import DeviceWalk

WALK = "py:puffer_testing.device_walk:DeviceWalk"


class TestWalk(DeviceEnvConformance):
    id = WALK
    deterministic = True


class TestScatteredWalk(DeviceEnvConformance):
    id = WALK
    options = {"scattered": True, "masked": True, "length": 6, "limit": 9}


class Forgetful(DeviceWalk):
    """Loses the last observation, changes the form of its state, and rewards by what is no number."""

    def step(self, ops, state, action, rng):
        outcome = super().step(ops, state, action, rng)
        steps = outcome.state["steps"].astype("float64")
        changed = outcome.state | {"steps": steps}
        return replace(
            outcome, state=changed, final_observation=outcome.observation, reward=outcome.reward * float("nan")
        )


class BrokenSuite(DeviceEnvConformance):
    """Not collected: its name does not begin with `Test`."""

    def make(self, num_envs):
        return Forgetful(num_envs)

    def make_backend(self):
        return NumpyBackend()


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("test_a_step_leaves_the_state_its_form", "steps"),
        ("test_an_ended_episode_leaves_its_last_observation", "are equal"),
        ("test_rewards_are_numbers", "nan"),
        ("test_noise_comes_from_its_source_alone", "deterministic = True"),
    ],
)
def test_a_broken_env_is_found(check: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        getattr(BrokenSuite(), check)()


def test_envs_check_runs_the_suite(capfd) -> None:
    assert run_check([WALK, "--deterministic", "--steps", "20"], host()) == 0
    assert "ok       a step leaves the state its form" in capfd.readouterr().out
