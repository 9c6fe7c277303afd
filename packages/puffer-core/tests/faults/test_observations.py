"""W5: wrong observations and rewards, in every mode: an error names the environment, what it gave, what is due."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.errors import EnvError
from puffer_core.vector import environment_seed
from puffer_testing import EnvConformance
from puffer_testing.driving import chaos_vector_env
from puffer_testing.processes import deadline

GOT = {
    "shape": ("(5,)", "(4,)"),
    "dtype": ("complex128", "float64"),
    "text": ("an observation", "float64"),
    "nan": ("NaN", "expected"),
    "none": ("None", "float64"),
    "keys": ("unheard-of", "float64"),
}
REWARDS = {"reward-nan": ("NaN", "a number"), "reward-none": ("None", "a number"), "reward-text": ("much", "a number")}
VECTORS = {
    "serial": {"mode": "serial"},
    "shared": {"mode": "process", "workers": 1},
    "isolated": {"mode": "process", "workers": 2, "isolate": True},
}
EXPECTED = "an EnvError that names the environment, what it gave and what was expected"


@pytest.mark.parametrize(
    ("mode", "phase"),
    [
        ("serial", "step"),
        ("isolated", "reset"),
        *(
            pytest.param(mode, phase, marks=pytest.mark.faults)
            for mode in VECTORS
            for phase in ("reset", "autoreset", "step")
        ),
    ],
)
def test_wrong_values_are_reported(
    request: pytest.FixtureRequest,
    mode: str,
    phase: str,
    play: Callable[..., Any],
    tmp_path: Path,
    injecting: Callable[..., Any],
) -> None:
    full = request.node.get_closest_marker("faults") is not None
    expected = GOT | (REWARDS if phase == "step" else {}) if full or mode == "serial" else {"none": GOT["none"]}
    with injecting("W5", "wrong shape, dtype, NaN, None, keys; rewards that are no numbers", EXPECTED) as row:
        scene = play(
            "matrix", 120, vector=VECTORS[mode], phase=phase, faults=list(expected), marker=str(tmp_path / "w5")
        )
        assert len(scene.lines) == len(expected), scene.stderr
        for case in scene.lines:
            assert case["outcome"] == "exit 5", case
            for words in (*expected[case["fault"]], "environment 2", f"seed {environment_seed(7, 2)}"):
                assert words in case["message"], case
            row.took(case["seconds"])


@pytest.mark.parametrize("fault", ["shape", "dtype", "text", "nan", "none", "keys"])
@pytest.mark.parametrize("mode", ["serial", "process"])
def test_of_a_nested_observation_the_key_is_named(mode: str, fault: str) -> None:
    with deadline(30), closing(chaos_vector_env({"mode": mode, "num_envs": 2}, "ChaosDictEnv", fault=fault)) as env:
        env.bind(EnvBuffers.allocate(env.spec, 2))
        env.reset(0)
        with pytest.raises(EnvError, match="numbers"):
            env.step(np.zeros(2, np.int64), 1)


class OutOfBounds(EnvConformance):
    def make(self, num_envs: int) -> VectorEnv:
        return chaos_vector_env({"num_envs": num_envs}, fault="bounds", step=2)


OutOfBounds.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("steps", [20, pytest.param(200, marks=pytest.mark.faults)])
def test_out_of_bounds_is_found_by_the_env_checker(steps: int, injecting: Callable[..., Any]) -> None:
    """To compare every number with its bounds costs more than a step of a small env: it is not done while training."""
    expected = "found by the conformance suite and `puffer envs check`; not looked for while training"
    with injecting("W5", "observations out of bounds", expected) as row:
        suite = OutOfBounds()
        suite.steps = steps
        with pytest.raises(AssertionError, match="expected within the bounds"):
            suite.test_observations_are_in_their_space()
        row.took(0.0)
