"""Whatever is wrong, and wherever it stands, is said in one form: where, what was got, what was expected."""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from puffer_core.config import resolve
from puffer_core.config.words import show_plain
from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost

SEED = "an integer >= 0 and < 2**63"


def refused(plan: Any, *argv: str, **rest: Any) -> str:
    """The message that a configuration gets."""
    with pytest.raises(UsageError) as caught:
        plan(*argv, **rest)
    assert caught.value.exit_code == 2
    return caught.value.message


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--learning-rate", "-1"], "--learning-rate: got -1.0, expected a number > 0"),
        (["--learning-rate=fast"], "--learning-rate: got 'fast', expected a number > 0"),
        (["--learning-rate", "nan"], "--learning-rate: got nan, expected a number > 0"),
        (["--vector.num-envs", "0"], "--vector.num-envs: got 0, expected an integer >= 1"),
        (["--vector.num_envs", "1.5"], "--vector.num_envs: got '1.5', expected an integer >= 1"),
        (["--seed"], f"--seed: got nothing, expected {SEED}"),
        (["--seed="], f"--seed: got '', expected {SEED}"),
        (["--seed", "9" * 5000], f"--seed: got '{'9' * 79}...{'9' * 9}', expected {SEED}"),
        (["--quiet=maybe"], "--quiet: got 'maybe', expected true or false"),
        (["--mood", "sad"], "--mood: got 'sad', expected one of calm, bold"),
        (["--target-kl", "0"], "--target-kl: got 0.0, expected a number > 0 or none"),
        (["--backend.threads", "0"], "--backend.threads: got 0, expected auto or an integer >= 1"),
        (["--backend.device", "tpu"], "--backend.device: got 'tpu', expected one of cpu, gpu"),
        (
            ["--policy.hidden-sizes", "0"],
            "--policy.hidden-sizes: got [0], expected a list of integers >= 1, at least 1 long",
        ),
        (["--optimizer.beta1", "1"], "--optimizer.beta1: got 1.0, expected a number >= 0 and < 1"),
        (["--env.width", "1"], "--env.width: got 1, expected an integer >= 2"),
        (["--lerning-rate", "1"], "--lerning-rate: unknown flag. Did you mean --learning-rate?"),
        (["--lr", "1"], "--lr: unknown flag. Did you mean --learning-rate?"),
        (["--num-envs", "8"], "--num-envs: unknown flag. Did you mean --vector.num-envs?"),
        (["--polcy", "net"], "--polcy: unknown flag. Did you mean --policy?"),
        (["--confg", "a.toml"], "--confg: unknown flag. Did you mean --config?"),
        (["--no-seed"], "--no-seed: unknown flag. Did you mean --seed?"),
        (["--env.widht", "3"], "--env.widht: unknown flag. Did you mean --env.width?"),
        (["--zzz"], "--zzz: unknown flag"),
        (["--policy"], "--policy: got nothing, expected the name of a policy"),
        (["--policy", "nett"], "--policy: unknown policy 'nett'"),
        (["--backend", "toch"], "--backend: unknown backend 'toch'"),
        (["--logger", "my-bord"], "--logger: unknown logger 'my-bord'"),
        (["--logger"], "--logger: got nothing, expected the name of a logger"),
        (
            ["--logger.my-board.directory", "x"],
            "--logger.my-board.directory: logger my-board is not chosen, expected --logger my-board too",
        ),
        (["field"], "unexpected argument 'field' after 'maze'"),
        (["--seed", "1", "2"], "unexpected argument '2' after --seed"),
        (["--env", "field"], "--env: got 'field' beside 'maze', expected one of them"),
        (
            ["--config", "absent.toml"],
            "--config absent.toml: No such file or directory, expected a TOML file that can be read",
        ),
        (["--config"], "--config: got nothing, expected the path of a TOML file"),
        (["--run", "a\udce9"], "argument 'a\\udce9': got 'a\\udce9', which is not UTF-8, expected text"),
    ],
)
def test_a_flag(plan: Any, argv: list[str], message: str) -> None:
    assert refused(plan, "maze", *argv) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate = -1", "a.toml: learning_rate: got -1, expected a number > 0"),
        ('total_steps = "100"', "a.toml: total_steps: got '100', expected an integer >= 1"),
        ("seed = true", f"a.toml: seed: got true, expected {SEED}"),
        ("quiet = 1", "a.toml: quiet: got 1, expected true or false"),
        ("run = 3", "a.toml: run: got 3, expected text"),
        ("horizon = 1.5", "a.toml: horizon: got 1.5, expected an integer >= 1 and <= 4096"),
        ("learning_rate = [1]", "a.toml: learning_rate: got [1], expected a number > 0"),
        ("learning_rate = {a = 1}", "a.toml: learning_rate: got {a = 1}, expected a number > 0"),
        ("bounds = [1.0]", "a.toml: bounds: got [1.0], expected a list of 2 numbers"),
        ("vector = 3", "a.toml: vector: got 3, expected a table of options"),
        ("policy = 3", "a.toml: policy: got 3, expected the name of a policy, or a table with a name"),
        ("policy = {name = 3}", "a.toml: policy: got 3, expected the name of a policy, or a table with a name"),
        ("logger = 3", "a.toml: logger: got 3, expected names of loggers, or a table for each"),
        ('trainer = "reader"', "a.toml: trainer: got 'reader', expected 'learner', which the command names"),
        ("[policy]\nhiden_sizes = [1]", "a.toml: policy.hiden_sizes: unknown key. Did you mean hidden_sizes?"),
        ("num_envs = 8", "a.toml: num_envs: unknown key. Did you mean vector.num_envs?"),
        ("[policy]\nzzz = 1", "a.toml: policy.zzz: unknown key. Known: activation, hidden_sizes, name, shared."),
        ("zzz = 1", "a.toml: zzz: unknown key"),
        ('[policy]\nname = "nett"', "a.toml: policy: unknown policy 'nett'"),
        (
            "horizon = 10",
            "a.toml: horizon: got options of trainer learner of fakes 1.0 that do not fit: 4 does not divide 10",
        ),
        ("seed", "a.toml: line 1, column 5: not TOML: Expected '=' after a key in a key/value pair"),
        ("seed = ", "a.toml: line 1, column 8: not TOML: Invalid value"),
        ("a = " + "[" * 5000, "a.toml: not TOML: nested too deeply"),
        ("a = " + "[" * 50 + "]" * 50, "a.toml: a: got more than 32 levels, expected fewer"),
    ],
)
def test_a_file(plan: Any, text: str, message: str) -> None:
    Path("a.toml").write_text(text)
    assert refused(plan, "maze", "--config", "a.toml") == message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'{"seed": ', "a.json: line 1, column 10: not JSON: Expecting value"),
        ("a.json", b"[1]", "a.json: got a list, expected a table of options"),
        ("a.json", b'{"run": "\\ud800"}', "a.json: run: got '\\ud800', which is not UTF-8, expected text"),
        ("a.toml", b"\xff", "a.toml: byte 0 is not UTF-8, expected a TOML file"),
    ],
)
def test_a_file_of_another_kind(plan: Any, name: str, content: bytes, message: str) -> None:
    Path(name).write_bytes(content)
    assert refused(plan, "maze", file=name) == message


def test_puffer_toml_is_named_too(plan: Any) -> None:
    Path("puffer.toml").write_text("lerning_rate = 1")
    assert refused(plan, "maze") == "puffer.toml: lerning_rate: unknown key. Did you mean learning_rate?"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PUFFER_LEARNING_RATE", "-1", "PUFFER_LEARNING_RATE: got -1.0, expected a number > 0"),
        ("PUFFER_VECTOR__NUM_ENVS", "x", "PUFFER_VECTOR__NUM_ENVS: got 'x', expected an integer >= 1"),
        ("PUFFER_LERNING_RATE", "1", "PUFFER_LERNING_RATE: unknown variable. Did you mean PUFFER_LEARNING_RATE?"),
        ("PUFFER_NUM_ENVS", "1", "PUFFER_NUM_ENVS: unknown variable. Did you mean PUFFER_VECTOR__NUM_ENVS?"),
        ("PUFFER_POLICY", "nett", "PUFFER_POLICY: unknown policy 'nett'"),
        ("PUFFER_RUN", "\udce9", "PUFFER_RUN: got '\\udce9', which is not UTF-8, expected text"),
    ],
)
def test_a_variable(plan: Any, variable: str, value: str, message: str) -> None:
    assert refused(plan, "maze", environ={variable: value}) == message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"learning_rate": -1}, "argument learning_rate: got -1, expected a number > 0"),
        ({"policy": {"hiden_sizes": 1}}, "argument policy.hiden_sizes: unknown key. Did you mean hidden_sizes?"),
        (
            {"run": object()},
            "argument run: got object, expected numbers, text, lists and tables, which JSON has",
        ),
        ({"seed": 10**5000}, "argument seed: got an integer of 16610 bits, expected at most 1024"),
        ({1: 2}, "argument 1: unknown key"),
    ],
)
def test_python(plan: Any, overrides: dict[Any, Any], message: str) -> None:
    assert refused(plan, "maze", overrides=overrides) == message


def test_all_that_is_wrong_is_said_at_once(plan: Any) -> None:
    Path("puffer.toml").write_text("horizon = 0\n")
    message = refused(plan, "maze", "--seed", "x", environ={"PUFFER_VECTOR__NUM_ENVS": "0"})
    assert {line.partition(":")[0] for line in message.splitlines()} == {
        "puffer.toml",
        "--seed",
        "PUFFER_VECTOR__NUM_ENVS",
    }


def test_names_that_are_unknown_come_with_the_nearest(plan: Any, host: PluginHost) -> None:
    for call, near in (
        (lambda: plan("maz"), "maze"),
        (lambda: plan("maze", trainer="lerner"), "learner"),
        (lambda: plan("maze", "--policy", "memry"), "memory"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert f"Did you mean {near}" in caught.value.remedy


# --- generated: 1000 bad configurations, each placed in a file, a variable, a flag or a Python call --------

BAD: dict[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("learning_rate",): st.floats(max_value=0, allow_infinity=False)
    | st.just(float("nan"))
    | st.text("abc", min_size=1),
    ("horizon",): st.integers(max_value=0) | st.integers(min_value=4097) | st.floats(0.1, 0.9),
    ("total_steps",): st.integers(max_value=0) | st.text("xyz", min_size=1),
    ("seed",): st.integers(max_value=-1) | st.integers(min_value=2**63),
    ("seeds",): st.integers(max_value=-1) | st.text("xyz", min_size=1),
    ("parallel",): st.integers(max_value=-1) | st.floats(0.1, 0.9),
    ("quiet",): st.integers(2, 9) | st.text("qz", min_size=1),
    ("target_kl",): st.floats(max_value=0, allow_nan=False, allow_infinity=False),
    ("mood",): st.text("sad", min_size=1),
    ("bounds",): st.lists(st.floats(-1, 1), min_size=3, max_size=5),
    ("optimizer", "beta1"): st.floats(min_value=1, allow_infinity=False)
    | st.floats(max_value=-1e-9, allow_infinity=False),
    ("policy", "hidden_sizes"): st.lists(st.integers(max_value=0), min_size=1, max_size=4),
    ("policy", "activation"): st.text("relu", min_size=5),
    ("policy", "shared"): st.text("xyz", min_size=1),
    ("backend", "threads"): st.integers(max_value=0),
    ("env", "width"): st.integers(max_value=1),
    ("vector", "num_envs"): st.integers(max_value=0) | st.floats(0.1, 0.9),
    ("vector", "mode"): st.text("ab", min_size=1),
}


@st.composite
def bad_settings(draw: st.DrawFn) -> tuple[tuple[str, ...], Any, bool]:
    """A key and a value that does not fit it, or a misspelt key; and whether the key is known."""
    key = draw(st.sampled_from(sorted(BAD)))
    if draw(st.booleans()):
        return key, draw(BAD[key]), True
    last = key[-1]
    at = draw(st.integers(1, len(last) - 2))
    misspelt = draw(st.sampled_from([last[:at] + last[at + 1 :], last[:at] + last[at] + last[at:], last + "s"]))
    assume(misspelt not in {name for known in BAD for name in known})
    return (*key[:-1], misspelt), draw(st.integers(0, 9)), False


def nested(key: tuple[str, ...], value: Any) -> dict[str, Any]:
    """`{"policy": {"shared": value}}`."""
    return {key[0]: nested(key[1:], value) if key[1:] else value}


def place(where: str, key: tuple[str, ...], value: Any, directory: Path) -> tuple[dict[str, Any], str]:
    """The arguments of `resolve` that set a key somewhere, and how the message must begin."""
    dotted, text = ".".join(key), show_plain(value)
    if where == "file":
        path = directory / "bad.json"
        path.write_text(json.dumps(nested(key, value)))
        return {"file": path}, f"{path}: {dotted}: "
    if where == "variable":
        variable = "PUFFER_" + "__".join(key).upper()
        return {"environ": {variable: text}}, f"{variable}: "
    if where == "flag":
        flag = "--" + dotted.replace("_", "-")
        return {
            "argv": [f"{flag}={text}"] if isinstance(value, str) or key == ("quiet",) else [flag, *text.split()]
        }, f"{flag}: "
    return {"overrides": nested(key, value)}, f"argument {dotted}: "


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=bad_settings(), where=st.sampled_from(["file", "variable", "flag", "python"]))
def test_generated_configurations(
    host: PluginHost, tmp_path: Path, bad: tuple[tuple[str, ...], Any, bool], where: str
) -> None:
    key, value, known = bad
    arguments, beginning = place(where, key, value, tmp_path)
    with pytest.raises(UsageError) as caught:
        resolve(host, "learner", "maze", **{"environ": {}, **arguments})
    message = caught.value.message
    assert caught.value.exit_code == 2
    assert message.startswith(beginning), message
    if known:
        assert "got " in message
        assert "expected " in message
    else:
        assert "unknown " in message
        assert "Did you mean " in message
    assert len(message) < 300


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    argv=st.lists(
        st.text(max_size=8) | st.sampled_from(["--", "--policy", "--seed", "--=", "--env.", "--logger.", "-1"])
    )
)
def test_any_command_line_is_a_plan_or_a_usage_error(host: PluginHost, argv: list[str]) -> None:
    assume("--config" not in argv)
    with suppress(UsageError):
        assert resolve(host, "learner", argv=argv, environ={}).source


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text("aseed=[]{}\"'\n.,0123 #", max_size=40))
def test_any_file_is_a_plan_or_a_usage_error(host: PluginHost, tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.toml"
    file.write_text(text)
    with suppress(UsageError):
        resolve(host, "learner", "maze", file=file, environ={})
        assert set(tomllib.loads(text)) <= {"seed"}


def test_a_backend_without_gradients_is_refused_for_a_trainer_that_needs_them(host):
    with pytest.raises(UsageError, match=r"got 'numpy', expected a backend that computes gradients.*: torch"):
        resolve(host, "learner", "maze", argv=["--backend", "numpy"], environ={})


def test_a_trainer_without_gradients_runs_on_numpy_unless_told(host):
    assert resolve(host, "counter", "maze", environ={}).backend.spec.name == "numpy"
