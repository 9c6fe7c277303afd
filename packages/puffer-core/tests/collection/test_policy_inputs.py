"""What policies read: nested spaces as views, agents that die and come back, transitions that were lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from puffer_core.arrays import named_leaves
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.contracts.policy import Agent, PolicyInterface
from puffer_core.distributions import head_sizes
from puffer_core.errors import EnvError
from puffer_core.evaluation import evaluate
from puffer_core.loaded_policy import LoadedPolicy
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout

NESTED = Dict(pos=Dict(x=Box(-99, 99, (2,)), level=Discrete(5)), clock=Box(0, 99, (), np.int16))
ACTION = Dict(lever=Discrete(3, start=7), force=Tuple([Box(-1, 1, (2,))]))


class Script:
    """Two environments of two agents that follow a script: (active, done) of each row at each step, over and over.

    Rewards are 1 a step. The observation's clock counts the steps that were taken; x holds row and time.
    """

    def __init__(self, script: list[list[str]], *, global_state: bool = False) -> None:
        self.script = script
        self.spec = VectorEnvSpec(
            id="script",
            num_envs=2,
            observation=Layout.of(NESTED),
            action=Layout.of(ACTION),
            row_env=np.array([0, 0, 1, 1]),
            row_group=np.array([0, 0, 0, 0]),
            agents=("a", "b"),
            snapshot=True,
            global_state=Layout.of(Box(0, 99, (1,))) if global_state else None,
        )
        self.actions: list[Any] = []

    def bind(self, buffers: EnvBuffers) -> None:
        self.slots = buffers

    def _what(self) -> np.ndarray:
        return np.array([row[self.time % len(row)] for row in self.script])

    def _observe(self, slot: int) -> None:
        parts: Any = self.spec.observation.split(self.slots.observation[slot])
        parts["pos.x"][...] = np.stack([np.arange(4), np.full(4, self.time)], axis=1)
        parts["pos.level"][...] = self.time % 5
        parts["clock"][...] = self.time
        self.slots.active[slot] = self._what() != "dead"
        if self.slots.global_state is not None:
            self.slots.global_state[slot, :, 0] = [10 + self.time, 20 + self.time]

    def reset(self, seed: int, first: int = 0) -> None:
        self.time = 0
        self._observe(0)

    def send(self, action: Any, slot: int) -> None:
        self.actions.append(self.spec.action.split(action.copy()))
        what, slots = self._what(), self.slots
        slots.reward[slot] = np.where((what == "dead") | (what == "lost"), 0.0, 1.0)
        slots.terminated[slot] = what == "ends"
        slots.truncated[slot] = what == "cut"
        slots.active[slot - 1] &= what != "lost"
        last: Any = self.spec.observation.split(slots.final_observation[slot])
        last["pos.x"][...] = -5.0
        if slots.final_global_state is not None:
            slots.final_global_state[slot] = 77
        self.time += 1
        self._observe(slot)

    def recv(self) -> Any:
        return ()

    def step(self, action: Any, slot: int) -> Any:
        self.send(action, slot)
        return ()

    def snapshot(self) -> Any:
        return {"time": self.time}

    def restore(self, state: Any) -> None:
        self.time = state["time"]

    def close(self) -> None:
        pass


class Reader:
    """Its value is the sum of `pos.x`; acts at random."""

    def __init__(self, spec: VectorEnvSpec, *inputs: str) -> None:
        self.interface = PolicyInterface(observation=spec.observation, action=spec.action)
        self.inputs = frozenset({"observation", *inputs})
        self.seen: list[Any] = []

    def init(self, rng: Any) -> Any:
        return {}

    def initial_carry(self, rows: int) -> Any:
        return ()

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        self.seen.append(inputs)
        x = inputs["observation"]["pos.x"]
        outputs = {name: ops.zeros((*x.shape[:2], size)) for name, size in head_sizes(self.interface.action).items()}
        outputs["log_std.force.0"] = outputs["mean.force.0"]
        value = ops.sum(x, axis=-1)
        return outputs | {"value": value + inputs["global_state"][..., 0] if "global_state" in inputs else value}, carry


def build(script: list[list[str]], *inputs: str, horizon: int = 6, **rest: Any) -> tuple[Any, Any, Any]:
    env: Any = Script(script, **rest)
    policy: Any = Reader(env.spec, *inputs)
    backend, rng = NumpyBackend(), np.random.default_rng(0)
    return HostCollector([env], policy, backend=backend, horizon=horizon, seed=0, rng=rng), env, policy


ALIVE = ["on"]


def test_a_nested_observation_is_a_dict_of_views_of_the_slots() -> None:
    collector, _, _ = build([ALIVE] * 4)
    rollout = collector.collect({})
    observation = rollout["inputs"]["observation"]
    assert list(observation) == ["clock", "pos.level", "pos.x"]
    assert observation["pos.x"].shape == (7, 4, 2)
    assert observation["pos.x"][:, 3].tolist() == [[3.0, t] for t in range(7)]
    assert observation["clock"].dtype == np.int16
    assert all(np.shares_memory(leaf, collector._storage.slots.observation) for leaf in observation.values())


def test_a_nested_action_is_a_dict_and_reaches_the_env_in_its_own_numbering() -> None:
    collector, env, _ = build([ALIVE] * 4)
    action = collector.collect({})["action"]
    assert {name: (x.shape, x.dtype.name) for name, x in action.items()} == {
        "lever": ((6, 4), "int64"),
        "force.0": ((6, 4, 2), "float32"),
    }
    given = {name: np.stack([step[name] for step in env.actions]) for name in action}
    np.testing.assert_array_equal(given["lever"], action["lever"] + 7)
    np.testing.assert_array_equal(given["force.0"], np.clip(action["force.0"], -1, 1))


def test_previous_actions_are_nested_too_and_zero_where_an_episode_starts() -> None:
    collector, _, _ = build([["on", "ends"], ALIVE, ALIVE, ALIVE], "previous_action", "previous_reward")
    rollout = collector.collect({})
    for name, before in rollout["inputs"]["previous_action"].items():
        expected = rollout["action"][name].copy()
        expected[rollout["reset"][1:]] = 0
        np.testing.assert_array_equal(before[1:], expected)
        assert (before[0] == 0).all()
    following = collector.collect({})["inputs"]["previous_reward"]
    assert following[:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert (following[:, 1] == 1).all()


def test_a_row_that_dies_and_comes_back_starts_anew() -> None:
    collector, _, _ = build([["on", "ends", "dead", "dead"], ALIVE, ["on", "dead", "dead", "dead"], ALIVE], horizon=9)
    rollout = collector.collect({})
    assert rollout["active"][:, 0].tolist() == [True, True, False, False] * 2 + [True]
    assert rollout["reset"][:, 0].tolist() == [True, False, True, True, True, False, True, True, True, False]
    assert rollout["reset"][:, 1].tolist() == [True] + [False] * 9
    metrics = collector.metrics()
    assert metrics["episode/count"] == 2
    assert metrics["episode/return"] == metrics["episode/length"] == 2


def test_a_lost_transition_does_not_count_and_the_row_starts_anew() -> None:
    collector, _, _ = build([["on", "on", "lost", "on", "on", "cut"], ALIVE, ALIVE, ALIVE])
    rollout = collector.collect({})
    assert rollout["active"][:, 0].tolist() == [True, True, False, True, True, True]
    assert rollout["reset"][:, 0].tolist() == [True, False, False, True, False, False, True]
    metrics = collector.metrics()
    assert (metrics["episode/count"], metrics["episode/return"]) == (1, 3)
    again = collector.collect({})
    assert again["active"][:, 0].tolist() == [True, True, False, True, True, True]


def test_the_state_of_an_environment_is_given_to_each_of_its_rows() -> None:
    collector, _, policy = build([["on", "cut"], ALIVE, ALIVE, ALIVE], "global_state", global_state=True, horizon=2)
    rollout = collector.collect({})
    assert rollout["inputs"]["global_state"][:, :, 0].tolist() == [[10, 10, 20, 20], [11, 11, 21, 21], [12, 12, 22, 22]]
    assert policy.seen[0]["global_state"][0, :, 0].tolist() == [10, 10, 20, 20]
    assert rollout["final_outputs"]["value"].tolist() == [[0, 0, 0, 0], [-10 + 77, 0, 0, 0]]


def test_a_policy_sees_final_observations_of_ended_episodes_only() -> None:
    collector, _, policy = build([["on", "cut"], ALIVE, ALIVE, ALIVE], horizon=2)
    collector.collect({})
    assert policy.seen[2]["observation"]["pos.x"][0].tolist() == [[-5, -5]]


def test_a_nested_state_goes_on_bit_for_bit() -> None:
    script = [["on", "on", "ends"], ALIVE, ALIVE, ALIVE]
    whole, half, fresh = (build(script, "previous_action", "previous_reward")[0] for _ in range(3))
    whole.collect({})
    half.collect({})
    state = half.state_dict()
    assert sorted(state["last"]["observation"]) == ["clock", "pos.level", "pos.x"]
    assert sorted(state["last"]["previous_action"]) == ["force.0", "lever"]
    fresh.load_state_dict(state)
    expected, found = whole.collect({}), fresh.collect({})
    for name in ("observation", "previous_reward"):
        for (path, one), (_, other) in zip(
            named_leaves(found["inputs"][name]), named_leaves(expected["inputs"][name]), strict=True
        ):
            np.testing.assert_array_equal(one, other, err_msg=path)
    for name, previous in found["inputs"]["previous_action"].items():
        np.testing.assert_array_equal(previous[0], expected["inputs"]["previous_action"][name][0])


# --- a loaded policy


def test_a_policy_acts_on_nested_values_and_remembers_nested_actions() -> None:
    env: Any = Script([ALIVE] * 4)
    reader: Any = Reader(env.spec, "previous_action")
    policy = LoadedPolicy(Agent(reader, {}), NumpyBackend(), deterministic=False)
    one = NESTED.sample()
    assert ACTION.contains(policy(one))
    policy.reset()
    taken = policy([one, one, one])
    assert len(taken) == 3
    assert all(ACTION.contains(action) for action in taken)
    policy.reset(np.array([False, True, False]))
    policy({"pos": {"x": np.zeros((3, 2), np.float32), "level": np.zeros(3, int)}, "clock": np.zeros(3, np.int16)})
    previous = reader.seen[-1]["previous_action"]
    assert (previous["lever"][0] + 7).tolist() == [taken[0]["lever"], 7, taken[2]["lever"]]
    assert (previous["force.0"][0, 1] == 0).all()
    assert (previous["force.0"][0, 0] != 0).all()


# --- evaluation


def judge(script: list[list[str]], episodes: int = 8, **options: Any) -> Any:
    env: Any = Script(script)
    policy: Any = Reader(env.spec)
    return evaluate(Agent(policy, {}), NumpyBackend(), env, episodes=episodes, seed=0, **options)


def test_an_episode_that_lost_a_transition_is_played_again() -> None:
    found = judge([["on", "lost", "on", "on", "ends"], ["on", "ends"], ["on", "ends"], ["on", "ends"]])
    assert found.returns.tolist() == [3, 3] + [2] * 6


def test_dead_agents_earn_and_count_nothing() -> None:
    found = judge([["on", "ends", "dead", "dead"]] * 4)
    assert found.returns.tolist() == found.lengths.tolist() == [2] * 8


def test_agents_that_never_act_leave_their_share_to_the_others() -> None:
    found = judge([["on", "ends"], ["dead"], ["on", "on", "ends"], ["dead"]])
    assert found.returns.tolist() == [2] * 4 + [3] * 4


def test_agents_that_stop_acting_for_good_do_not_hold_it_up() -> None:
    found = judge([["on", "ends"], ["ends"] + ["dead"] * 500, ["on", "ends"], ["on", "ends"]], max_steps=20)
    assert found.episodes == 8
    assert found.returns.tolist().count(1) == 1


def test_an_env_in_which_nobody_ever_acts_is_refused() -> None:
    with pytest.raises(EnvError, match="script: no agent was active for 30 steps"):
        judge([["dead"]] * 4, max_steps=30)


def test_episodes_that_never_end_are_cut_off() -> None:
    found = judge([ALIVE, ["on", "ends"], ALIVE, ALIVE], max_steps=25)
    assert found.returns.tolist() == [25, 25, 2, 2, 25, 25, 25, 25]
    assert found.cut == found.summary()["cut"] == 6
