"""`puffer envs check`: sound envs pass, each broken promise is one line that says what was got and expected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from puffer_core.cli.main import main
from puffer_core.plugins import PluginHost
from puffer_testing.checking import CheckOptions, Outcome, checks_of, lines, run_check, summary
from puffer_testing.single_env import SingleEnvChecks, misfit

HERE = "puffer_testing_checked_envs"
sys.modules[HERE] = sys.modules[__name__]


class Dice(gymnasium.Env[Any, Any]):
    """Guess what is thrown; keeps every promise."""

    observation_space: spaces.Space[Any] = spaces.Box(-1, 6, (2,))
    action_space: spaces.Space[Any] = spaces.Discrete(6)

    def __init__(self, sides: int = 6) -> None:
        self.sides = sides

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.see(-1), {}

    def see(self, thrown: float) -> Any:
        return np.array([thrown, self.np_random.random()], np.float32)

    def step(self, action: Any) -> Any:
        thrown = int(self.np_random.integers(self.sides))
        return self.see(thrown), float(thrown == action), bool(self.np_random.random() < 0.1), False, {}


class TooFar(Dice):
    def see(self, thrown: float) -> Any:
        return super().see(thrown) + np.float32(3)


class Double(Dice):
    def see(self, thrown: float) -> Any:
        return super().see(thrown).astype(np.float64)


class Moody(Dice):
    """Draws from a generator that no seed reaches."""

    rng = np.random.default_rng(0)

    def see(self, thrown: float) -> Any:
        return np.array([thrown, self.rng.random()], np.float32)


class Fixed(Dice):
    """Nothing random in it."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.array([0, self.steps], np.float32), 1.0, self.steps == 5, False, {}


class Reusing(Dice):
    def see(self, thrown: float) -> Any:
        self.seen = getattr(self, "seen", np.zeros(2, np.float32))
        self.seen[:] = super().see(thrown)
        return self.seen


class Talking(Dice):
    observation_space = spaces.Dict({"seen": spaces.Box(-1, 6, (2,)), "says": spaces.Text(8)})


class Vague(Dice):
    def step(self, action: Any) -> Any:
        observation, reward, _, _, info = super().step(action)
        return observation, reward, 1, False, info


class Broken(Dice):
    def step(self, action: Any) -> Any:
        raise RuntimeError("the dice are gone")


NOISY = """
import gymnasium

class Noisy(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        print("rolling")
        return 0, {}

    def step(self, action):
        return 1, 0.0, True, False, {}
"""


def check(env: str, *flags: str) -> int:
    return run_check([f"py:{HERE}:{env}", "--steps", "15", *flags], PluginHost.discover())


def failures(env: str, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, str]:
    code = check(env, "--json", *flags)
    answer = json.loads(capsys.readouterr().out)
    failed = {one["name"]: one["detail"] for one in answer["checks"] if one["status"] == "FAILED"}
    assert (code, answer["ok"]) == ((5, False) if failed else (0, True))
    return failed


def without_workers(failed: dict[str, str]) -> dict[str, str]:
    """These envs are known to this process alone: no worker can import them."""
    return {name: detail for name, detail in failed.items() if "worker processes" not in name}


def test_a_sound_env_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert without_workers(failures("Dice", capsys)) == {}


def test_a_registered_env_passes_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(["CartPole-v1", "--steps", "30"], PluginHost.discover()) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["checking CartPole-v1", "  ok       it can be made"]
    assert "  skipped  a mask leaves a choice (the env gives no action mask)" in out
    assert "FAILED" not in out[-1]
    assert " ok, " in out[-1]


@pytest.mark.parametrize(
    ("env", "name", "detail"),
    [
        ("TooFar", "observations are in their space", "expected within the bounds"),
        ("TooFar", "every observation is of its space and dtype", "expected -1.0 to 6.0"),
        ("Double", "every observation is of its space and dtype", "reset: got float64 of shape (2,), expected float32"),
        ("Moody", "the same seed gives the same trajectory", "two envs with one seed differ: observation differs"),
        ("Reusing", "observations are not changed afterwards", "step 0 changed the observation that reset had given"),
        ("Vague", "flags are flags and rewards are numbers", "terminated is 1, expected a bool"),
        ("Broken", "rewards are numbers", "failed in step"),
    ],
)
def test_a_broken_promise_is_found(env: str, name: str, detail: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert detail in failures(env, capsys)[name]


def test_advice_is_given_in_flags(capsys: pytest.CaptureFixture[str]) -> None:
    failed = failures("Fixed", capsys)
    assert failed["another seed gives another trajectory"].endswith("if the env has no randomness, add --deterministic")
    assert without_workers(failures("Fixed", capsys, "--deterministic")) == {}


def test_a_space_that_cannot_be_served_is_one_failure(capsys: pytest.CaptureFixture[str]) -> None:
    failed = failures("Talking", capsys)
    assert list(failed) == ["it can be made"]
    assert "says: Text" in failed["it can be made"]


def test_what_the_env_prints_does_not_spoil_the_answer(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    command = [sys.executable, "-m", "puffer_core", "envs", "check", "py:noisy:Noisy", "--steps", "5", "--json"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert json.loads(done.stdout)["env"] == "py:noisy:Noisy"
    assert "rolling" in done.stderr


def test_options_reach_the_env(capsys: pytest.CaptureFixture[str]) -> None:
    assert without_workers(failures("Dice", capsys, "--env.sides", "3", "--num-envs", "2")) == {}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "puffer envs check: got no env"),
        (["nothing-like-it"], "unknown env 'nothing-like-it'"),
        (["CartPole-v1", "--env.gravity", "3"], "CartPole-v1 has no option 'gravity'"),
        (["CartPole-v1", "--stps", "3"], "--stps: unknown flag. Did you mean --steps?"),
        (["CartPole-v1", "--steps", "0"], "--steps: got 0, expected an integer >= 1"),
        (["CartPole-v1", "more"], "unexpected argument 'more' beside 'CartPole-v1'"),
    ],
)
def test_mistakes(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["envs", "check", *argv]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["envs", "check", "--help"]) == 0
    assert "--num-envs" in capsys.readouterr().out


def test_what_was_said_is_not_said_again() -> None:
    failed = Outcome("b", "FAILED", "broke")
    assert lines(failed, []) == ["  FAILED   b", "           broke"]
    assert lines(failed, [Outcome("a", "FAILED", "broke")]) == ["  FAILED   b (as above)"]
    assert summary([failed]) == "0 ok, 1 FAILED"


def test_checks_come_in_the_order_of_their_definition_with_their_parameters() -> None:
    class Suite:
        def test_b(self) -> None: ...

        @pytest.mark.parametrize("size", [1, 2])
        def test_a(self, size: int) -> None: ...

        def other(self) -> None: ...

    assert [name for name, _ in checks_of(Suite())] == ["b", "a (size 1)", "a (size 2)"]


def test_the_single_envs_checks_are_called_without_a_warning() -> None:
    for _, run in checks_of(SingleEnvChecks(Dice, steps=20)):
        run()


@pytest.mark.parametrize(
    ("space", "value", "wrong"),
    [
        (spaces.Discrete(3), 3, "got 3, expected one of Discrete(3)"),
        (spaces.Tuple([spaces.Discrete(2)]), [1], "got [1], expected a tuple"),
        (spaces.Dict(a=spaces.Discrete(2)), {"b": 1}, "got the parts ['b'], expected ['a']"),
        (spaces.Dict(a=spaces.Tuple([spaces.Discrete(2)])), {"a": (5,)}, "a.0: got 5, expected one of Discrete(2)"),
        (spaces.Box(0, 1, (2,)), [0, 1], "got [0, 1], expected an array, float32 of shape (2,)"),
        (spaces.Box(0, 1, ()), np.float32(2), "is 2.0, expected 0.0 to 1.0"),
        (spaces.MultiBinary(2), np.array([0, 2], np.int8), "got array([0, 2], dtype=int8), expected one of"),
        (spaces.Dict(a=spaces.Discrete(2)), {"a": 1}, ""),
    ],
)  # fmt: skip
def test_misfits_in_words(space: Any, value: Any, wrong: str) -> None:
    found = misfit(space, value)
    assert found.startswith(wrong) if wrong else not found


def test_the_defaults_are_those_of_the_suite() -> None:
    from puffer_testing import EnvConformance

    options = CheckOptions()
    assert (options.num_envs, options.steps) == (EnvConformance.num_envs, EnvConformance.steps)
