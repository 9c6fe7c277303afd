"""Agents that die, arrive and end together, against slots worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import ParallelEnv

from puffer_core import EnvBuffers
from puffer_core.errors import EnvError, ShapeError, UnsupportedError, UsageError
from puffer_core.vector import environment_seed
from puffer_env_pettingzoo import AgentsVectorEnv


class Scripted(ParallelEnv):
    """Agents come and go by a script. An observation is (episode, step, agent); a reward is 10 * step + agent + 1.

    Args:
        comes: agent to the step at which it arrives; 0: it is there from the start.
        ends: agent to (step, whether it terminates); the others are truncated with step 9.
    """

    metadata = {"name": "scripted"}

    def __init__(self, comes: dict[str, int], ends: dict[str, tuple[int, bool]]) -> None:
        self.possible_agents = list(comes)
        self.comes, self.ends = comes, ends
        self.episode, self.t = 0, 0
        self.agents: list[str] = []
        self.seeds: list[int | None] = []
        self.given: list[dict[str, Any]] = []

    def observation_space(self, agent: str) -> Box:
        return Box(-100.0, 100.0, (3,), np.float32)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def seen(self, agent: str) -> np.ndarray:
        return np.array([self.episode, self.t, self.possible_agents.index(agent)], np.float32)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.seeds.append(seed)
        self.episode = 1 if seed is not None else self.episode + 1
        self.t = 0
        self.agents = [agent for agent, step in self.comes.items() if step == 0]
        return {agent: self.seen(agent) for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        self.given.append(actions)
        self.t += 1
        acted = self.agents
        over = {agent: self.ends.get(agent, (9, False))[0] == self.t for agent in acted}
        terminal = {agent: over[agent] and self.ends.get(agent, (9, False))[1] for agent in acted}
        truncated = {agent: over[agent] and not terminal[agent] for agent in acted}
        self.agents = [agent for agent in acted if not over[agent]]
        self.agents += [agent for agent, step in self.comes.items() if step == self.t]
        rewards = {agent: 10.0 * self.t + self.possible_agents.index(agent) + 1 for agent in acted}
        infos = {agent: {"t": self.t} if agent == "a_1" else {} for agent in acted}
        return {agent: self.seen(agent) for agent in {*acted, *self.agents}}, rewards, terminal, truncated, infos

    def state(self) -> np.ndarray:
        return np.array([self.episode, self.t], np.int32)


def played(env: Any, steps: int, *, num_envs: int = 1) -> tuple[EnvBuffers, list[Any]]:
    """Slots 0..steps of an env whose rows all act 1; what lay there before is 77 (True, in flags)."""
    with closing(AgentsVectorEnv(env if callable(env) else lambda: env, num_envs, id="toy")) as vector:
        slots = EnvBuffers.allocate(vector.spec, steps + 1, lambda shape, dtype: np.full(shape, 77, dtype))
        vector.bind(slots)
        vector.reset(seed=3)
        infos = [vector.step(np.ones(vector.spec.rows, np.int64), t) for t in range(1, steps + 1)]
    return slots, infos


def test_agents_that_die_one_after_the_other() -> None:
    slots, _ = played(Scripted({"a_0": 0, "a_1": 0, "b": 0}, {"a_0": (1, True), "a_1": (3, False), "b": (2, False)}), 4)
    assert slots.active.tolist() == [
        [True, True, True],
        [False, True, True],
        [False, True, False],
        [True, True, True],  # nobody was left: the next episode, with everybody
        [False, True, True],
    ]
    assert slots.reward.tolist() == [[0, 0, 0], [11, 12, 13], [0, 22, 23], [0, 32, 0], [11, 12, 13]]
    assert slots.terminated.tolist() == [
        [False] * 3,
        [True, False, False],
        [False] * 3,
        [False] * 3,
        [True, False, False],
    ]
    assert slots.truncated.tolist() == [
        [False] * 3,
        [False] * 3,
        [False, False, True],
        [False, True, False],
        [False] * 3,
    ]
    assert slots.observation.tolist() == [
        [[1, 0, 0], [1, 0, 1], [1, 0, 2]],
        [[0, 0, 0], [1, 1, 1], [1, 1, 2]],
        [[0, 0, 0], [1, 2, 1], [0, 0, 0]],
        [[2, 0, 0], [2, 0, 1], [2, 0, 2]],
        [[0, 0, 0], [2, 1, 1], [2, 1, 2]],
    ]
    assert slots.final_observation[1, 0].tolist() == [1, 1, 0]
    assert slots.final_observation[2, 2].tolist() == [1, 2, 2]
    assert slots.final_observation[3, 1].tolist() == [1, 3, 1]
    assert slots.final_observation[3, 0].tolist() == [77, 77, 77], "written when it died, not again"


def test_an_agent_that_arrives_late() -> None:
    slots, _ = played(Scripted({"a_0": 0, "a_1": 2}, {"a_0": (3, True), "a_1": (4, True)}), 5)
    assert slots.active[:, 1].tolist() == [False, False, True, True, False, False]
    assert slots.reward[:, 1].tolist() == [0, 0, 0, 32, 42, 0], "it earns from its first step on"
    assert slots.observation[:3, 1].tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 1]]
    assert slots.terminated[:, 1].tolist() == [False, False, False, False, True, False]
    assert slots.observation[4].tolist() == [[2, 0, 0], [0, 0, 0]], "it is not there when the next episode begins"


def test_all_at_once() -> None:
    env = Scripted({"a_0": 0, "a_1": 0}, {"a_0": (2, True), "a_1": (2, False)})
    slots, _ = played(env, 3)
    assert slots.active.all()
    assert (slots.terminated[2].tolist(), slots.truncated[2].tolist()) == ([True, False], [False, True])
    assert slots.final_observation[2].tolist() == [[1, 2, 0], [1, 2, 1]]
    assert slots.observation[2].tolist() == [[2, 0, 0], [2, 0, 1]]
    assert not (slots.terminated[3] | slots.truncated[3]).any()


def test_the_global_state_before_and_after_an_end() -> None:
    slots, _ = played(Scripted({"a_0": 0, "b": 0}, {"a_0": (1, True), "b": (2, True)}), 2)
    assert slots.global_state.tolist() == [[[1, 0]], [[1, 1]], [[2, 0]]]
    assert slots.final_global_state[1:].tolist() == [[[1, 1]], [[1, 2]]]


def test_the_dead_are_given_no_actions() -> None:
    env = Scripted({"a_0": 0, "b": 0}, {"a_0": (1, True), "b": (3, True)})
    played(env, 3)
    assert env.given == [{"a_0": 1, "b": 1}, {"b": 1}, {"b": 1}]


def test_infos_name_the_row() -> None:
    _, infos = played(lambda: Scripted({"a_0": 0, "a_1": 0}, {}), 2, num_envs=2)
    assert infos == [[(1, {"t": 1}), (3, {"t": 1})], [(1, {"t": 2}), (3, {"t": 2})]]


def test_environments_are_seeded_as_everywhere() -> None:
    envs: list[Scripted] = []

    def make() -> Scripted:
        envs.append(Scripted({"a_0": 0}, {"a_0": (1, True)}))
        return envs[-1]

    with closing(AgentsVectorEnv(make, 2, id="toy")) as vector:
        vector.bind(EnvBuffers.allocate(vector.spec, 2))
        vector.reset(seed=5, first=3)
        vector.step(np.zeros(2, np.int64), 1)
    assert [env.seeds[-2:] for env in envs] == [[environment_seed(5, 3), None], [environment_seed(5, 4), None]]


def test_who_is_over_stays_so_whatever_the_env_says() -> None:
    class Careless(Scripted):
        """Keeps the dead among its agents."""

        def step(self, actions: Any) -> Any:
            outcome = super().step(actions)
            self.agents = list(self.possible_agents)
            return outcome

    slots, _ = played(Careless({"a_0": 0, "b": 0}, {"a_0": (1, True), "b": (2, True)}), 2)
    assert slots.active.tolist() == [[True, True], [False, True], [True, True]]
    assert slots.reward.tolist() == [[0, 0], [11, 12], [0, 22]]


class Masked(Scripted):
    """Each agent may do what its number is; the mask is in the observation, or in the info."""

    def __init__(self, in_info: bool) -> None:
        super().__init__({"a_0": 0, "a_1": 0}, {"a_0": (1, True)})
        self.in_info = in_info

    def observation_space(self, agent: str) -> Any:
        box = super().observation_space(agent)
        return box if self.in_info else Dict(observation=box, action_mask=Box(0, 1, (2,), np.int8))

    def seen(self, agent: str) -> Any:
        seen = super().seen(agent)
        return seen if self.in_info else {"observation": seen, "action_mask": self.mask(agent)}

    def mask(self, agent: str) -> np.ndarray:
        return (np.arange(2) == self.possible_agents.index(agent)).astype(np.int8)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        observations, _ = super().reset(seed)
        return observations, self.infos()

    def step(self, actions: Any) -> Any:
        return *super().step(actions)[:4], self.infos()

    def infos(self) -> dict[str, Any]:
        return {agent: {"action_mask": self.mask(agent)} if self.in_info else {} for agent in self.possible_agents}


@pytest.mark.parametrize("in_info", [False, True])
def test_masks_reach_the_slots(in_info: bool) -> None:
    slots, _ = played(Masked(in_info), 1)
    assert slots.action_mask.tolist() == [[[True, False], [False, True]], [[True, True], [False, True]]]
    assert slots.observation.shape == (2, 2, 3)


def unlike(**changed: Any) -> Callable[[], Scripted]:
    """A maker of envs of one class that has something of its own."""
    kind = type("Unlike", (Scripted,), changed)
    return lambda: kind({"a_0": 0, "b": 0}, {"a_0": (1, True)})


def changed_outcome(position: int, value: Any) -> Callable[..., Any]:
    def step(self: Scripted, actions: Any) -> Any:
        outcome = list(Scripted.step(self, actions))
        outcome[position] = value
        return tuple(outcome)

    return step


FLOATS = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (changed_outcome(0, {"b": FLOATS}), "agent 'a_0': it got no observation"),
        (
            changed_outcome(0, {"a_0": FLOATS, "b": FLOATS[:2]}),
            r"agent 'b': .* float32 array of shape \(2,\), expected",
        ),
        (changed_outcome(0, {"a_0": FLOATS, "b": FLOATS * np.nan}), "agent 'b': .* got NaN"),
        (changed_outcome(0, {"a_0": FLOATS, "b": None}), "agent 'b': .* got None, expected"),
        (changed_outcome(1, {"a_0": 0.0}), "agent 'b': it got no reward"),
        (
            changed_outcome(1, {"a_0": 0.0, "b": 0.0, "c": 1.0}),
            r"a reward is given to 'c', expected some of \['a_0', 'b'\]",
        ),
        (changed_outcome(1, {"a_0": np.nan, "b": 0.0}), "agent 'a_0': the reward is NaN"),
        (changed_outcome(1, {"a_0": "much", "b": 0.0}), "agent 'a_0': the reward is 'much', expected a number"),
        (changed_outcome(2, {}), "agent 'a_0': it got no termination"),
        (changed_outcome(2, {"a_0": False, "b": False}), "agent 'a_0': it left `agents` without a termination"),
        (changed_outcome(3, None), "truncations are None, expected a dict by agent"),
        (lambda self, actions: (1, 2), "it gave 2 values, expected observations, rewards"),
        (lambda self, actions: self.agents.append("ghost") or Scripted.step(self, actions), "'ghost'"),
        (lambda self, actions: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda self, actions: exit(3), "SystemExit: 3"),
    ],
)
def test_an_env_that_breaks_its_interface_is_named(step: Any, message: str) -> None:
    with closing(AgentsVectorEnv(unlike(step=step), 1, id="toy")) as vector:
        vector.bind(EnvBuffers.allocate(vector.spec, 2))
        vector.reset(seed=3, first=4)
        with pytest.raises(
            EnvError, match=rf"toy: environment 4 failed in step, seed {environment_seed(3, 4)}: .*{message}"
        ):
            vector.step(np.zeros(2, np.int64), 1)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_that_cannot_be_shown_is_still_named() -> None:
    def step(*_: Any) -> Any:
        raise UnprintableError

    with pytest.raises(EnvError, match=r"in step, seed \d+: UnprintableError: \(its message cannot be shown\)"):
        played(unlike(step=step), 1)


def test_an_error_of_the_reset_within_a_step_says_reset() -> None:
    def reset(self: Scripted, seed: int | None = None, options: Any = None) -> Any:
        if seed is None:
            raise RuntimeError("no more")
        return Scripted.reset(self, seed)

    make = unlike(reset=reset, step=changed_outcome(2, {"a_0": True, "b": True}))
    with closing(AgentsVectorEnv(make, 1, id="toy")) as vector:
        vector.bind(EnvBuffers.allocate(vector.spec, 2))
        vector.reset(seed=3)
        with pytest.raises(EnvError, match=r"failed in reset, seed .*no more"):
            vector.step(np.zeros(2, np.int64), 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"__init__": lambda self, comes, ends: Scripted.__init__(self, {}, {})},
            "possible_agents is empty or missing",
        ),
        ({"observation_space": lambda self, agent: None}, "agent 'a_0': observation_space gave None, expected a gym"),
        ({"reset": lambda self, seed=None: ({}, {})}, "`agents` is empty after reset, expected at least one"),
        ({"reset": lambda self, seed=None: {}}, "it gave {}, expected observations, infos"),
    ],
)
def test_an_env_without_agents_or_spaces_is_refused(changed: Any, message: str) -> None:
    with pytest.raises(EnvError, match=message):
        played(unlike(**changed), 1)


def test_environments_have_to_be_alike() -> None:
    agents = iter([{"a_0": 0}, {"a_0": 0, "b": 0}])
    with pytest.raises(
        EnvError, match=r"environment 1 failed in init: it has the agents \['a_0', 'b'\], environment 0"
    ):
        AgentsVectorEnv(lambda: Scripted(next(agents), {}), 2, id="toy")
    kinds = iter([unlike(), unlike(action_space=lambda self, agent: Discrete(3))])
    with pytest.raises(EnvError, match=r"agent 'a_0' has the spaces .*, in environment 0"):
        AgentsVectorEnv(lambda: next(kinds)(), 2, id="toy")


def test_a_state_that_changes_its_form_is_an_error() -> None:
    make = unlike(state=lambda self: np.zeros(2 + self.t, np.float32))
    with closing(AgentsVectorEnv(make, 1, id="toy")) as vector:
        vector.bind(EnvBuffers.allocate(vector.spec, 2))
        vector.reset(seed=0)
        with pytest.raises(EnvError, match=r"state\(\) has changed its form: got float32 array of shape \(3,\)"):
            vector.step(np.zeros(2, np.int64), 1)


@pytest.mark.parametrize(
    ("state", "wanted", "shape"),
    [
        (lambda self: np.zeros(2, np.float32), None, (2,)),
        (lambda self: np.zeros(2, np.bool_), None, (2,)),
        (lambda self: np.zeros((8, 8, 3), np.uint8), None, None),
        (lambda self: np.zeros((8, 8, 3), np.uint8), True, (8, 8, 3)),
        (lambda self: np.zeros(2, np.float32), False, None),
        (ParallelEnv.state, None, None),
        ({"board": 1}, None, None),
        (lambda self: {"board": 1}, None, None),
    ],
)
def test_a_state_is_global_state_unless_it_is_a_picture(state: Any, wanted: bool | None, shape: Any) -> None:
    with closing(AgentsVectorEnv(unlike(state=state), 1, id="toy", global_state=wanted)) as vector:
        layout = vector.spec.global_state
    assert (layout and layout.shape) == shape


def test_a_state_that_there_is_not_cannot_be_asked_for() -> None:
    with pytest.raises(UnsupportedError, match=r"toy has no state\(\)"):
        AgentsVectorEnv(unlike(state=None), 1, id="toy", global_state=True)


def test_misuse_is_named() -> None:
    with closing(AgentsVectorEnv(unlike(), 1, id="toy")) as vector:
        with pytest.raises(UsageError, match="reset or step before bind"):
            vector.reset(0)
        with pytest.raises(UsageError, match="recv without a send"):
            vector.recv()
        other = AgentsVectorEnv(unlike(), 2, id="toy")
        with pytest.raises(ShapeError, match="toy has 2 rows, the buffers have 4"):
            vector.bind(EnvBuffers.allocate(other.spec, 2))
        vector.bind(EnvBuffers.allocate(vector.spec, 2))
        with pytest.raises(ShapeError, match=r"slot is 2, expected 1\.\.1"):
            vector.step(np.zeros(2, np.int64), 2)
        with pytest.raises(ShapeError, match=r"got actions float64 \(2,\), expected int64 \(2,\)"):
            vector.step(np.zeros(2), 1)
        with pytest.raises(UnsupportedError, match="Unlike has no get_state and set_state"):
            vector.restore({})


@pytest.mark.parametrize("changed", [{"render_mode": None}, {"render": lambda self: None}])
def test_an_env_that_draws_nothing_gives_no_picture(changed: Any) -> None:
    with (
        closing(AgentsVectorEnv(unlike(**changed), 1, id="toy")) as vector,
        pytest.raises(UnsupportedError, match="gives no picture"),
    ):
        vector.render()


def test_an_env_that_cannot_be_closed_is_named_and_the_others_are_closed() -> None:
    closed: list[int] = []

    def close(self: Scripted) -> None:
        closed.append(1)
        raise OSError("stuck")

    vector = AgentsVectorEnv(unlike(close=close, render=lambda self: np.zeros((2, 2, 3), np.uint8)), 2, id="toy")
    assert vector.render().shape == (2, 2, 3)
    with pytest.raises(EnvError, match="environment 0 failed in close: OSError: stuck"):
        vector.close()
    assert len(closed) == 2
    vector.close()
