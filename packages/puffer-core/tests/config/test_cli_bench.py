"""`puffer bench`: modes, ratios and the command to train with."""

from __future__ import annotations

import json

import pytest

from puffer_core.cli.main import main

SHORT = ["--num-envs", "2", "--seconds", "0.01"]


def test_every_mode_is_a_line_and_the_last_is_a_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "CartPole-v1", *SHORT]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("CartPole-v1: a step costs ")
    assert lines[1].split() == ["ENVS", "MODE", "STEPS/S", "RATIO"]
    assert lines[2].split()[:2] == ["2", "serial"]
    assert lines[2].endswith("1.00")
    assert any("1 worker beside the main process" in line for line in lines)
    assert lines[-2] == ""
    assert lines[-1].startswith("puffer train TRAINER CartPole-v1 --vector.num-envs 2 --vector.mode ")


def test_a_device_env_has_one_way_and_is_trained_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "py:puffer_testing.device_walk:DeviceWalk", *SHORT]) == 0
    *_, said, command = capsys.readouterr().out.splitlines()
    assert "within its compiled program" in said
    assert command.startswith("puffer train TRAINER py:puffer_testing.device_walk:DeviceWalk --vector.num-envs ")
    assert "--vector.mode" not in command


def test_the_same_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SHORT, "--json", "Pendulum-v1", "--env.g", "9.0"]) == 0
    found = json.loads(capfd.readouterr().out)
    modes = [mode["mode"] for mode in found["modes"]]
    assert modes[0] == "serial"
    assert "native" not in modes  # Gymnasium has no batch of it
    assert "process" in modes
    assert found["modes"][0]["ratio"] == 1.0
    assert [proposal["num_envs"] for proposal in found["proposals"]] == [2]
    assert found["step_seconds"] > 0


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ([], 2, "puffer bench: got no env"),
        (["nothing-like-it"], 2, "unknown env 'nothing-like-it'"),
        (["CartPole-v1", "--env.gravitas", "3"], 2, "has no option 'gravitas'"),
        (["CartPole-v1", "--num-envs", "0"], 2, "--num-envs: got [0], expected a list of integers >= 1"),
        (["CartPole-v1", "--seconds", "0"], 2, "--seconds: got 0.0, expected a number > 0"),
        (["CartPole-v1", "--second", "1"], 2, "--second: unknown flag. Did you mean --seconds?"),
        (["gymnasium:not_a_module:Game-v0"], 5, "not_a_module"),
    ],
)
def test_mistakes(argv: list[str], code: int, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *argv]) == code
    captured = capfd.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_help_lists_the_options(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    out = capfd.readouterr().out
    assert "--num-envs" in out
    assert "--json" in out
