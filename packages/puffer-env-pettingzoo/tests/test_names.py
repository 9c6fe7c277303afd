"""Environments by name."""

from __future__ import annotations

import importlib.util

import pytest

from puffer_core.errors import EnvError, UsageError
from puffer_env_pettingzoo import names
from puffer_env_pettingzoo.names import known_ids, resolve


@pytest.mark.parametrize(
    ("id", "name", "source"),
    [
        ("pettingzoo:butterfly/pistonball_v6", "pettingzoo:butterfly/pistonball_v6", "butterfly/pistonball_v6"),
        ("pettingzoo:butterfly/pistonball-v6", "pettingzoo:butterfly/pistonball_v6", "butterfly/pistonball_v6"),
        ("pettingzoo:pistonball_v6", "pettingzoo:butterfly/pistonball_v6", "butterfly/pistonball_v6"),
        ("butterfly/pistonball_v6", "pettingzoo:butterfly/pistonball_v6", "butterfly/pistonball_v6"),
        ("pistonball_v6", "pettingzoo:butterfly/pistonball_v6", "butterfly/pistonball_v6"),
        ("mpe2:simple_spread_v3", "mpe2:simple_spread_v3", "mpe2.simple_spread_v3"),
        ("simple_spread_v3", "mpe2:simple_spread_v3", "mpe2.simple_spread_v3"),
        ("pettingzoo:my_games.go:env", "pettingzoo:my_games.go:env", "my_games.go:env"),
        ("pettingzoo:my_games.go_v1", "pettingzoo:my_games.go_v1", "my_games.go_v1"),
    ],
)
def test_an_id_is_resolved(id: str, name: str, source: str) -> None:
    spec = resolve(id)
    assert spec is not None
    assert (spec.name, spec.interface, spec.arguments) == (name, "vector", (("env_id", source),))
    assert spec.capabilities == {"multi-agent"}


def test_a_tuple_env_is_resolved() -> None:
    spec = resolve("agents:lbforaging:Foraging-8x8-2p-1f-v3")
    assert spec is not None
    assert spec.name == "agents:lbforaging:Foraging-8x8-2p-1f-v3"
    assert spec.arguments == (("gymnasium_id", "lbforaging:Foraging-8x8-2p-1f-v3"),)


@pytest.mark.parametrize(
    "id", ["cartpole", "CartPole-v1", "other:thing_v1", "wholly_different_game_v7", "gymnasium:X-v1"]
)
def test_what_is_no_multi_agent_env_is_left_to_others(id: str) -> None:
    assert resolve(id) is None


@pytest.mark.parametrize(
    ("id", "remedy"),
    [
        ("pettingzoo:butterfly/knights_archers_zombies_v10", "Did you mean butterfly/knights_archers_zombies_v11?"),
        ("pettingzoo:pistonbal_v6", "Did you mean butterfly/pistonball_v6"),
        ("mpe2:simple_spraed_v3", "Did you mean simple_spread_v3"),
        ("simple_spread_v2", "Did you mean simple_spread_v3"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(id: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=r"has no environment|has the environment") as caught:
        resolve(id)
    assert caught.value.remedy.startswith(remedy)


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(names, "find_spec", lambda name: None if name == "mpe2" else found(name))
    with pytest.raises(EnvError, match="the package mpe2 is not installed") as caught:
        resolve("mpe2:simple_spread_v3")
    assert caught.value.remedy == "Install it: pip install mpe2"
    assert resolve("simple_spread_v3") is None
    assert known_ids("mpe2") == []


def test_every_folder_of_pettingzoo_is_known() -> None:
    folders = {id.partition(":")[2].partition("/")[0] for id in known_ids("pettingzoo")}
    assert folders == {"atari", "butterfly", "classic", "sisl"}
