"""Which agents form a group, and how unlike spaces share rows."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Text, Tuple
from pettingzoo import ParallelEnv

from puffer_core import EnvBuffers
from puffer_core.errors import UnsupportedError
from puffer_env_pettingzoo import AgentsVectorEnv
from puffer_env_pettingzoo.team import Team

BOX, CHOICES = Box(-1.0, 1.0, (2,)), Discrete(3)


class Crew(ParallelEnv):
    """Agents with any spaces, who see `seen` and remember what they were told to do."""

    metadata = {"name": "team"}

    def __init__(self, spaces: dict[Any, tuple[Space[Any], Space[Any]]], seen: dict[Any, Any] | None = None) -> None:
        self.possible_agents = list(spaces)
        self.agents = list(spaces)
        self.spaces, self.seen = spaces, seen or {}
        self.given: dict[Any, Any] = {}

    def observation_space(self, agent: Any) -> Space[Any]:
        return self.spaces[agent][0]

    def action_space(self, agent: Any) -> Space[Any]:
        return self.spaces[agent][1]

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        return self.seen, {}

    def step(self, actions: Any) -> Any:
        self.given = actions
        flags = dict.fromkeys(self.agents, False)
        return self.seen, dict.fromkeys(self.agents, 0), flags, flags, {}


def groups(spaces: dict[Any, tuple[Space[Any], Space[Any]]]) -> list[tuple[str, list[str]]]:
    team = Team.of(Crew(spaces))
    return [
        (role.name, [name for name, own in zip(team.names, team.role, strict=True) if own == i])
        for i, role in enumerate(team.roles)
    ]


def test_equal_spaces_and_names_up_to_the_number_form_a_group() -> None:
    agents = dict.fromkeys(["adversary_0", "agent_0", "adversary_1", "agent-1"], (BOX, CHOICES))
    assert groups(agents) == [("adversary", ["adversary_0", "adversary_1"]), ("agent", ["agent_0", "agent-1"])]


def test_unlike_spaces_are_groups_of_their_own() -> None:
    wide = Box(-1.0, 1.0, (4,))
    agents = {
        "agent_0": (BOX, CHOICES),
        "agent_1": (wide, CHOICES),
        "agent_2": (wide, CHOICES),
        "agent_3": (BOX, CHOICES),
    }
    assert groups(agents) == [("agent", ["agent_0", "agent_3"]), ("agent_1", ["agent_1", "agent_2"])]


def test_agents_may_be_numbers() -> None:
    assert groups({0: (BOX, CHOICES), 1: (BOX, CHOICES)}) == [("agent", ["0", "1"])]


def test_equal_layouts_need_none_of_their_own() -> None:
    agents = {"a": (BOX, CHOICES), "b": (BOX, CHOICES)}
    with closing(AgentsVectorEnv(lambda: Crew(agents), 2, id="t")) as env:
        assert env.spec.groups == ("a", "b")
        assert env.spec.row_group.tolist() == [0, 1, 0, 1]
        assert env.spec.group_observation == env.spec.group_action == ()
        assert not env.spec.action_mask


def stepped(env: Crew, actions: Any) -> EnvBuffers:
    with closing(AgentsVectorEnv(lambda: env, 1, id="t")) as vector:
        slots = EnvBuffers.allocate(vector.spec, 2, lambda shape, dtype: np.full(shape, 1, dtype))
        vector.bind(slots)
        vector.reset(seed=0)
        vector.step(np.array(actions, vector.spec.action.dtype), 1)
    return slots


def test_shorter_vectors_have_zeros_behind_and_fewer_choices_a_mask() -> None:
    agents = {"a": (Box(-1, 1, (3,)), Discrete(2)), "b": (Box(-1, 1, (1,)), Discrete(4, start=5))}
    env = Crew(agents, {"a": np.full(3, 0.5, np.float32), "b": np.full(1, 0.25, np.float32)})
    slots = stepped(env, [1, 3])
    assert slots.observation[1].tolist() == [[0.5, 0.5, 0.5], [0.25, 0, 0]]
    assert slots.action_mask[1].tolist() == [[True, True, False, False], [True] * 4]
    assert env.given == {"a": 1, "b": 8}, "in the group's own numbering"
    assert all(env.action_space(agent).contains(action) for agent, action in env.given.items())


def test_actions_of_boxes_are_cut_to_the_groups_own() -> None:
    agents = {"a": (BOX, Box(-2, 2, (3,))), "b": (BOX, Box(0, 1, (2,)))}
    env = Crew(agents, {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)})
    stepped(env, [[1.5, -1.5, 2], [1.5, -1.5, 2]])
    assert env.given["a"].tolist() == [1.5, -1.5, 2]
    assert env.given["b"].tolist() == [1, 0]


def test_observed_choices_are_counted_from_0_in_every_group() -> None:
    env = Crew({"a": (Discrete(2, start=3), CHOICES), "b": (Discrete(5), CHOICES)}, {"a": 4, "b": 4})
    assert stepped(env, [0, 0]).observation[1].tolist() == [1, 4]


def test_nested_spaces_are_written_and_given_back_nested() -> None:
    space = Dict(place=BOX, kind=Discrete(3))
    action = Dict(turn=Discrete(2), push=Box(0, 1, (1,)))
    seen = {"place": np.array([0.5, 1], np.float32), "kind": 2}
    env = Crew({"a_0": (space, action), "a_1": (space, action)}, {"a_0": seen, "a_1": seen})
    with closing(AgentsVectorEnv(lambda: env, 1, id="t")) as vector:
        slots = EnvBuffers.allocate(vector.spec, 2)
        vector.bind(slots)
        vector.reset(seed=0)
        rows = vector.spec.action.join({"turn": np.array([1, 0]), "push": np.array([[0.25], [0.5]])})
        vector.step(rows, 1)
        parts = vector.spec.observation.split(slots.observation[1])
    assert parts["place"].tolist() == [[0.5, 1], [0.5, 1]]
    assert parts["kind"].tolist() == [2, 2]
    assert env.given["a_0"]["turn"] == 1
    assert env.given["a_1"]["push"].tolist() == [0.5]


def test_several_choices_have_the_masks_of_all() -> None:
    action = MultiDiscrete([2, 3])
    space = Dict(observation=BOX, action_mask=Tuple([Box(0, 1, (2,), np.int8), Box(0, 1, (3,), np.int8)]))
    mask = (np.array([1, 0], np.int8), np.array([0, 1, 1], np.int8))
    env = Crew({"a": (space, action)}, {"a": {"observation": np.zeros(2, np.float32), "action_mask": mask}})
    slots = stepped(env, [[0, 1]])
    assert slots.action_mask[1].tolist() == [[True, False, False, True, True]]
    assert Team.of(env).first_choice.tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ({"a": (BOX, CHOICES), "b": (Discrete(2), CHOICES)}, "the agents' observations cannot be rows of one array"),
        ({"a": (BOX, CHOICES), "b": (Box(-1, 1, (2,), np.float64), CHOICES)}, "the agents' observations cannot"),
        ({"a": (BOX, CHOICES), "b": (Box(-1, 1, (2, 2)), CHOICES)}, "the agents' observations cannot"),
        ({"a": (BOX, CHOICES), "b": (Dict(place=BOX), CHOICES)}, "the agents' observations cannot"),
        (
            {"a": (BOX, CHOICES), "b": (BOX, BOX)},
            "the agents' actions cannot be rows of one array: one of 3 choices; float32",
        ),
        ({"talker_0": (Text(5), CHOICES)}, "observation space of talker"),
    ],
)
def test_what_nothing_makes_alike_is_refused(agents: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        Team.of(Crew(agents))


def test_boxes_of_one_shape_have_the_widest_bounds() -> None:
    team = Team.of(Crew({"a": (Box(0, 1, (2, 2)), CHOICES), "b": (Box(-1, 0, (2, 2)), CHOICES)}))
    assert team.observation.space == Box(-1, 1, (2, 2))
