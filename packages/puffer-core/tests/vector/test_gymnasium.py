"""Gymnasium ids as environments: which are found, and what the others get."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gymnasium.envs.registration import registry

from puffer_core.errors import EnvError, UsageError
from puffer_core.specs import import_target
from puffer_core.vector.gymnasium import known_ids, make, resolve

MODULE = """
import gymnasium
gymnasium.register("Plugged-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv")
"""


@pytest.mark.parametrize("id", ["gymnasium:CartPole-v1", "CartPole-v1"])
def test_an_id_becomes_a_spec_that_makes_it(id: str) -> None:
    spec = resolve(id)
    assert spec is not None
    assert (spec.name, spec.interface) == ("CartPole-v1", "gymnasium")
    env = import_target(spec.target)(**dict(spec.arguments))
    assert env.spec.id == "CartPole-v1"
    env.close()


@pytest.mark.parametrize("id", ["cartpole", "nothing:Like-v3", "no-such.module:Env-v0", "Zork-v0"])
def test_what_is_not_gymnasiums_is_left_to_others(id: str) -> None:
    assert resolve(id) is None


@pytest.mark.parametrize(
    ("id", "remedy"),
    [
        ("gymnasium:CartPole-v99", "Did you mean CartPole-v1"),
        ("CartPole-v99", "Did you mean CartPole-v1"),
        ("gymnasium:CartPole", "Did you mean CartPole-v1"),
        ("gymnasium:CartPool-v1", "Did you mean CartPole-v1"),
        ("gymnasium:Nowhere/Pong-v5", "name its module: gymnasium:MODULE:Nowhere/Pong-v5"),
    ],
)
def test_an_unknown_id_gets_the_nearest(id: str, remedy: str) -> None:
    with pytest.raises(UsageError, match="Gymnasium has no environment") as caught:
        resolve(id)
    assert remedy in caught.value.remedy


def test_an_old_version_is_made_without_a_warning_and_said_to_be_old() -> None:
    spec = resolve("CartPole-v0")
    assert spec is not None
    assert "out of date: there is a version 1" in spec.summary
    make(gymnasium_id="CartPole-v0").close()


def test_a_module_may_register_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugged_envs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        for id in ("plugged_envs:Plugged-v0", "gymnasium:plugged_envs:Plugged-v0"):
            spec = resolve(id)
            assert spec is not None
            assert spec.name == "plugged_envs:Plugged-v0"
        make(gymnasium_id="plugged_envs:Plugged-v0").close()
        with pytest.raises(UsageError, match="no environment 'gymnasium:plugged_envs:Other-v0'"):
            resolve("gymnasium:plugged_envs:Other-v0")
    finally:
        registry.pop("Plugged-v0", None)
        sys.modules.pop("plugged_envs", None)


def test_a_module_that_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(EnvError, match="the module no_such_envs, which should register Env-v0") as caught:
        resolve("gymnasium:no_such_envs:Env-v0")
    assert caught.value.remedy == "Install it: pip install no-such-envs"


def test_a_module_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_envs.py").write_text("raise RuntimeError('half installed')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvError, match="RuntimeError: half installed"):
        resolve("failing_envs:Env-v0")


def test_options_reach_the_env_and_others_are_refused() -> None:
    env = make(gymnasium_id="CartPole-v1", max_episode_steps=7, sutton_barto_reward=True)
    assert env.spec is not None
    assert env.spec.max_episode_steps == 7
    env.close()
    with pytest.raises(UsageError, match="CartPole-v1 has no option 'max_episode_step'") as caught:
        make(gymnasium_id="CartPole-v1", max_episode_step=7)
    assert "max_episode_steps" in caught.value.remedy
    with pytest.raises(UsageError, match="no environment 'CartPole-v9'"):
        make(gymnasium_id="CartPole-v9")


def test_known_ids_are_those_of_the_registry() -> None:
    ids = known_ids()
    assert ids == sorted(ids)
    assert {"CartPole-v1", "Pendulum-v1"} <= set(ids)
