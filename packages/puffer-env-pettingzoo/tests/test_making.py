"""Which callable makes an env, with which options, and without a window."""

from __future__ import annotations

import os
from contextlib import closing
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from gymnasium.spaces import Box, Discrete, Tuple

from puffer_core import EnvBuffers
from puffer_core.errors import EnvError, UsageError
from puffer_core.vector import environment_seed
from puffer_env_pettingzoo import make, make_tuple


def test_simple_spread_is_what_stepping_it_by_hand_gives() -> None:
    from mpe2 import simple_spread_v3

    steps, actions = 60, np.random.default_rng(0).integers(0, 5, (60, 3))
    with closing(make(1, env_id="mpe2.simple_spread_v3", max_cycles=20)) as vector:
        slots = EnvBuffers.allocate(vector.spec, steps + 1)
        vector.bind(slots)
        vector.reset(seed=7)
        for t in range(steps):
            vector.step(actions[t], t + 1)
    env = simple_spread_v3.parallel_env(max_cycles=20)
    observations, _ = env.reset(seed=environment_seed(7, 0))
    agents = env.possible_agents
    for t in range(steps):
        assert np.array_equal(slots.observation[t], [observations[agent] for agent in agents])
        assert np.array_equal(slots.global_state[t, 0], env.state())
        observations, rewards, _, truncated, _ = env.step(dict(zip(agents, actions[t], strict=True)))
        assert np.array_equal(slots.reward[t + 1], np.float32([rewards[agent] for agent in agents]))
        assert slots.truncated[t + 1].tolist() == [truncated[agent] for agent in agents]
        if not env.agents:
            assert np.array_equal(slots.final_observation[t + 1], [observations[agent] for agent in agents])
            assert np.array_equal(slots.final_global_state[t + 1, 0], env.state())
            observations, _ = env.reset()
    assert slots.truncated[:, 0].nonzero()[0].tolist() == [20, 40, 60]


def test_tictactoe_is_what_stepping_it_by_hand_gives() -> None:
    moves = [0, 4, 1, 3, 2]  # the first row wins for the first player
    with closing(make(1, env_id="classic/tictactoe_v3")) as vector:
        slots = EnvBuffers.allocate(vector.spec, 6)
        vector.bind(slots)
        vector.reset(seed=0)
        for t, move in enumerate(moves):
            vector.step(np.array([move, move]), t + 1)
    env = pettingzoo.make("aec", "classic/tictactoe_v3")
    env.reset(seed=0)
    for t, move in enumerate(moves):
        for row, agent in enumerate(env.possible_agents):
            seen = env.observe(agent)
            assert np.array_equal(slots.observation[t, row], seen["observation"])
            waits = np.arange(9) == 0
            expected = seen["action_mask"].astype(bool) if agent == env.agent_selection else waits
            assert np.array_equal(slots.action_mask[t, row], expected)
        env.step(move)
    assert slots.reward[5].tolist() == [env.rewards[agent] for agent in env.possible_agents] == [1, -1]
    assert slots.terminated[5].tolist() == [True, True]
    assert np.array_equal(slots.final_observation[5, 1], env.observe("player_2")["observation"])
    assert not slots.observation[5].any(), "an empty board again"


def test_options_are_the_envs_own() -> None:
    with closing(make(1, env_id="mpe2.simple_spread_v3", N=2, max_cycles=7, continuous_actions=True)) as env:
        assert (len(env.spec.agents), env.spec.max_episode_steps, env.spec.action.shape) == (2, 7, (5,))


def test_turns_are_an_option() -> None:
    with closing(make(1, env_id="mpe2.simple_spread_v3", N=2, max_cycles=7, api="aec")) as env:
        assert env.spec.action_mask
        assert env.spec.max_episode_steps == 14, "a step is one agent's move"


@pytest.mark.parametrize(
    ("env_id", "options", "message", "remedy"),
    [
        ("mpe2.simple_spread_v3", {"max_cycle": 3}, "has no option 'max_cycle'", "Did you mean max_cycles?"),
        ("butterfly/pistonball_v6", {"n_piston": 3}, "has no option 'n_piston'", "Did you mean n_pistons?"),
        ("butterfly/cooperative_pong_v6", {"max_cycle": 3}, "has no option 'max_cycle'", ""),
        ("classic/tictactoe_v3", {"size": 3}, "has no option 'size'", "Known: render_mode, screen_height."),
        ("classic/tictactoe_v3", {"api": "parallel"}, "has no parallel API", "Use --env.api aec."),
        ("classic/tictactoe_v3", {"api": "both"}, "api is 'both', expected 'auto', 'parallel' or 'aec'", ""),
    ],
)
def test_an_option_that_there_is_not_is_refused(env_id: str, options: Any, message: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make(1, env_id=env_id, **options)
    assert caught.value.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("env_id", "remedy"),
    [
        ("classic/chess_v6", "Install it: pip install 'pettingzoo[classic]'"),
        ("no_such_games.spread_v1", "Install it: pip install no-such-games"),
        ("mpe2.simple_spread_v3:no_env", ""),
    ],
)
def test_what_cannot_be_imported_says_what_to_install(
    env_id: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "chess", None)
    with pytest.raises(EnvError, match=f"{env_id} cannot be imported: ") as caught:
        make(1, env_id=env_id)
    assert caught.value.remedy == remedy


def test_an_env_that_cannot_be_made_is_named() -> None:
    with pytest.raises(EnvError, match=r"mpe2.simple_spread_v3 cannot be made with N='many': TypeError"):
        make(1, env_id="mpe2.simple_spread_v3", N="many")
    with pytest.raises(EnvError, match="classic/no_such_v1: no such environment"):
        make(1, env_id="classic/no_such_v1")


class Solo(gymnasium.Env):
    """A Gymnasium env with one part an agent."""

    observation_space = Tuple([Discrete(2), Discrete(2)])
    action_space = Tuple([Discrete(2), Discrete(2)])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return (0, 0), {}


@pytest.fixture
def games(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module `games` that can be imported."""
    module = ModuleType("games")
    monkeypatch.setitem(__import__("sys").modules, "games", module)
    return module


def test_a_callable_of_ones_own(games: ModuleType) -> None:
    from mpe2 import simple_spread_v3

    games.spread = lambda agents: simple_spread_v3.parallel_env(N=agents)  # type: ignore[attr-defined]
    games.solo = Solo  # type: ignore[attr-defined]
    games.nothing = lambda: 3  # type: ignore[attr-defined]
    with closing(make(1, env_id="games:spread", agents=2)) as env:
        assert env.spec.agents == ("agent_0", "agent_1")
    with closing(make(1, env_id="games:solo")) as env:
        assert env.spec.rows == 2
    with pytest.raises(EnvError, match=r"games:nothing gave 3, expected a pettingzoo.ParallelEnv or AECEnv"):
        make(1, env_id="games:nothing")
    with pytest.raises(UsageError, match="games:spread has no option 'agent'"):
        make(1, env_id="games:spread", agent=2)


def test_a_tuple_env_takes_gymnasiums_options() -> None:
    with closing(make_tuple(2, gymnasium_id="rware:rware-tiny-2ag-v2", max_episode_steps=9)) as env:
        assert (env.spec.rows, env.spec.max_episode_steps) == (4, 9)
    with pytest.raises(EnvError, match=r"CartPole-v1: spaces are .*, expected two Tuple spaces"):
        make_tuple(1, gymnasium_id="CartPole-v1")


@pytest.mark.parametrize(("before", "options", "after"), [(None, {}, "dummy"), ("x11", {}, "x11")])
def test_no_window_is_opened(
    before: str | None, options: Any, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    if before:
        monkeypatch.setenv("SDL_VIDEODRIVER", before)
    make(1, env_id="classic/tictactoe_v3", **options).close()
    assert os.environ.get("SDL_VIDEODRIVER") == after


def test_a_picture_of_environment_0() -> None:
    with closing(make(1, env_id="mpe2.simple_spread_v3", render_mode="rgb_array")) as env:
        env.bind(EnvBuffers.allocate(env.spec, 2))
        env.reset(seed=0)
        picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape == (700, 700, 3)
    assert picture.std() > 0


def test_pictures_are_observed_as_they_are() -> None:
    with closing(make(1, env_id="butterfly/pistonball_v6", n_pistons=2, max_cycles=3)) as env:
        assert env.spec.global_state is None, "a picture of everything is written only if asked for"
        slots = EnvBuffers.allocate(env.spec, 2)
        env.bind(slots)
        env.reset(seed=0)
        env.step(np.zeros((2, 1), np.float32), 1)
    assert slots.observation.shape == (2, 2, 457, 120, 3)
    assert slots.observation.std() > 0


def test_choices_seen_and_made_at_once() -> None:
    with closing(make(2, env_id="classic/rps_v2", max_cycles=2)) as env:
        assert env.spec.observation.space == Discrete(4)
        slots = EnvBuffers.allocate(env.spec, 3)
        env.bind(slots)
        env.reset(seed=0)
        env.step(np.array([0, 1, 2, 1]), 1)
        env.step(np.array([0, 0, 0, 0]), 2)
    assert slots.observation[1].tolist() == [1, 0, 1, 2], "each sees what the other did"
    assert slots.reward[1].tolist() == [-1, 1, 1, -1]
    assert slots.truncated[2].all()


def test_agents_of_three_groups_with_continuous_actions() -> None:
    with closing(make(1, env_id="mpe2.simple_world_comm_v3", continuous_actions=True)) as env:
        assert env.spec.groups == ("leadadversary", "adversary", "agent")
        assert [layout.shape for layout in env.spec.group_action] == [(9,), (5,), (5,)]
        assert isinstance(env.spec.action.space, Box)
