"""Gymnasium ids as environments: which are found, and what the others get."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import registry

from puffer_core.config.choosing import Named, find
from puffer_core.config.help import add_env_options
from puffer_core.errors import EnvError, UnsupportedError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost, Provided
from puffer_core.specs import import_target
from puffer_core.vector import make_vector_env
from puffer_core.vector.families import FAMILIES, family_of
from puffer_core.vector.gymnasium import known_ids, make, make_batch, make_single_agent, resolve, vectorised
from puffer_core.vector.gymnasium_vector import GymnasiumVectorEnv

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


@pytest.mark.parametrize("id", ["__main__:Walk-v0", ":", "::", "a.b:c", "\0:\0", "../up-v0", ""])
def test_an_odd_id_that_gymnasium_does_not_have_is_somebody_elses(id: str) -> None:
    assert resolve(id) is None


def test_a_module_that_ends_the_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaving_envs.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvError, match=r"the module leaving_envs, .* cannot be imported: SystemExit: 3"):
        resolve("gymnasium:leaving_envs:Walk-v0")


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


class Building(gymnasium.Env[Any, Any]):
    """Takes an option of its own."""

    def __init__(self, colour: str = "red") -> None:
        self.colour = colour


class Room(Building):
    """Has an observation of several parts, and hands other options on to its base."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, size: int = 3, **rest: Any) -> None:
        super().__init__(**rest)
        self.observation_space = spaces.Dict(
            image=spaces.Box(0, 1, (size,)), mission=spaces.Text(9), wind=spaces.Discrete(2)
        )
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return {"image": np.zeros(3, np.float32), "mission": "go", "wind": 1}, {}


class Pair(gymnasium.Env[Any, Any]):
    """Two agents in one environment."""

    observation_space = spaces.Tuple([spaces.Discrete(2)] * 2)
    action_space = spaces.Tuple([spaces.Discrete(2)] * 2)
    n_agents = 2


@pytest.fixture
def registered() -> Iterator[None]:
    gymnasium.register("PufferRoom-v0", Room)
    gymnasium.register("PufferPair-v0", Pair)
    yield
    for id in ("PufferRoom-v0", "PufferPair-v0"):
        registry.pop(id)


@pytest.mark.usefixtures("registered")
def test_keys_are_left_out_of_an_observation() -> None:
    env = make(gymnasium_id="PufferRoom-v0", without=["mission"])
    assert list(env.observation_space.spaces) == ["image", "wind"]  # type: ignore[attr-defined]
    assert list(env.reset()[0]) == ["image", "wind"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("without", "remedy"),
    [(["misson"], "Did you mean mission?"), (["image", "mission", "wind"], "expected one to be left")],
)
def test_keys_that_cannot_be_left_out_are_refused(without: list[str], remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(gymnasium_id="PufferRoom-v0", without=without)
    assert remedy in str(caught.value)


@pytest.mark.usefixtures("registered")
def test_an_option_that_only_a_base_refuses_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="PufferRoom-v0 has no option 'sise'") as caught:
        make(gymnasium_id="PufferRoom-v0", sise=4)
    assert caught.value.remedy == "Did you mean size?"


@pytest.mark.usefixtures("registered")
def test_several_agents_in_one_row_are_refused_and_sent_on() -> None:
    assert len(make(gymnasium_id="PufferPair-v0").action_space.spaces) == 2  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedError, match="PufferPair-v0 has 2 agents") as caught:
        make_single_agent(gymnasium_id="PufferPair-v0")
    assert "agents:PufferPair-v0" in caught.value.remedy


def test_an_id_that_registers_a_batch_can_be_used_as_that() -> None:
    spec = resolve("CartPole-v1")
    assert spec is not None
    batch = vectorised(spec)
    assert batch is not None
    assert (batch.name, batch.interface) == ("CartPole-v1", "gymnasium-vector")
    env = make_vector_env(
        Provided(spec, "puffer-core", "1"),
        make_single_agent,
        {"max_episode_steps": 9},
        VectorConfig(num_envs=3, mode="native"),
    )
    assert isinstance(env, GymnasiumVectorEnv)
    assert (env.spec.rows, env.spec.max_episode_steps) == (3, 9)
    env.close()


@pytest.mark.parametrize("id", ["Pendulum-v1", "phys2d/CartPole-v1"])
def test_others_have_no_batch_or_one_that_loses_steps(id: str) -> None:
    spec = resolve(id)
    assert spec is not None
    assert vectorised(spec) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"without": ["x"]}, "--env.without works where CartPole-v1 is stepped one by one"),
        ({"max_episode_step": 3}, "Did you mean max_episode_steps?"),
        ({"render_mode": "rgb"}, "Did you mean rgb_array?"),
    ],
)
def test_what_a_batch_does_not_take_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_batch(2, gymnasium_id="CartPole-v1", **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_id_of_a_package_that_is_not_imported_is_asked_for_by_its_module(
    family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{family.prefix}Thing-v7"
    assert family_of(name) == family
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: object())
    with pytest.raises(UsageError, match=f"before {family.module} is imported") as found:
        resolve(name)
    assert found.value.remedy == f"Ask for {family.ask}:{family.module}:{name}."
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(EnvError, match=f"comes with the package {family.package}, which is not installed") as missing:
        resolve(name)
    assert missing.value.remedy.startswith(f"Install it: pip install {family.package}.")
    with pytest.raises(EnvError, match=f"comes with the package {family.package}"):
        resolve(f"{family.module}:{name}")


def test_help_lists_what_every_id_takes_and_that_its_constructor_may_take_more() -> None:
    parser = argparse.ArgumentParser()
    add_env_options(parser, find(PluginHost.discover(third_party=False), "env", Named("CartPole-v1")))
    text = parser.format_help()
    for option in ("--env.max-episode-steps INT", "--env.render-mode STR", "--env.without STR", "--env.KEY VALUE"):
        assert option in text
