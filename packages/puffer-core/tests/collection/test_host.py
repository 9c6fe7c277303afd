"""Collection on the host: what a rollout holds, where episodes end, and how a run goes on."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from puffer_core.collection.host import HostCollector
from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.contracts.trainer import Collector
from puffer_core.errors import CheckpointError, UnsupportedError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout

ROWS, HORIZON, LENGTH = 3, 5, 4


class Counting:
    """Observes (row, step of the episode); episodes last 4 steps, and end by truncation in odd rows."""

    def __init__(self, rows: int = ROWS, *, action_mask: bool = False, snapshot: bool = True) -> None:
        self.spec = VectorEnvSpec.single_agent(
            id="counting",
            num_envs=rows,
            observation=Layout.of(gymnasium.spaces.Box(-np.inf, np.inf, (2,))),
            action=Layout.of(gymnasium.spaces.Discrete(3, start=10)),
            action_mask=action_mask,
            snapshot=snapshot,
        )
        self.count = np.zeros(rows, np.int64)
        self.actions: list[np.ndarray] = []
        self.closed = 0

    def bind(self, buffers: EnvBuffers) -> None:
        self.buffers = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        self.count[:] = 0
        self._observe(0)

    def step(self, action, slot):
        self.actions.append(action.copy())
        self.count += 1
        buffers, ended = self.buffers, self.count == LENGTH
        odd = np.arange(self.spec.rows) % 2 == 1
        buffers.reward[slot] = self.count
        buffers.truncated[slot] = ended & odd
        buffers.terminated[slot] = ended & ~odd
        buffers.final_observation[slot] = np.where(ended[:, None], self._rows(), -1.0)
        self.count[ended] = 0
        self._observe(slot)
        return ()

    def send(self, action, slot):
        self.step(action, slot)

    def recv(self):
        return ()

    def snapshot(self):
        return {"count": self.count.copy()}

    def restore(self, state):
        self.count[:] = state["count"]

    def close(self):
        self.closed += 1

    def _rows(self):
        return np.stack([np.arange(self.spec.rows), self.count], axis=1).astype(np.float32)

    def _observe(self, slot: int) -> None:
        self.buffers.observation[slot] = self._rows()
        if self.buffers.action_mask is not None:
            self.buffers.action_mask[slot] = np.array([False, True, False])


class Remembering:
    """Its value is the sum of step numbers seen since the episode began, which it remembers."""

    def __init__(self, spec: VectorEnvSpec, inputs=frozenset({"observation"})) -> None:
        self.interface = PolicyInterface(observation=spec.observation, action=spec.action)
        self.inputs = inputs

    def init(self, rng):
        return {"w": np.ones((), np.float32)}

    def initial_carry(self, rows):
        return (np.zeros(rows, np.float32),)

    def update_stats(self, ops, params, inputs, weight):
        return params

    def apply(self, ops, params, inputs, carry, reset, rng):
        seen = inputs["observation"][:, :, 1]

        def step(total, x):
            value, begins = x
            total = ops.where(begins, 0.0, total) + params["w"] * value
            return total, total

        total, values = ops.scan(step, carry[0], (seen, reset))
        logits = ops.zeros((*values.shape, 3)) + 0.0 * values[:, :, None]
        return {"logits": logits, "value": values}, (total,)


def build(env=None, policy=None, rng=0, horizon: int = HORIZON, **options):
    envs = env if isinstance(env, list) else [env or Counting()]
    policy = policy or Remembering(envs[0].spec)
    rng = np.random.default_rng(rng)
    collector = HostCollector(envs, policy, backend=NumpyBackend(), horizon=horizon, seed=7, rng=rng, **options)
    return collector, policy.init(np.random.default_rng(0))


def copied(rollout):
    return {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in rollout.items()}


def test_is_a_collector():
    assert isinstance(build()[0], Collector)


def test_a_rollout_has_every_step_and_the_observation_after_the_last():
    collector, params = build()
    rollout = collector.collect(params)
    assert rollout["inputs"]["observation"].shape == (HORIZON + 1, ROWS, 2)
    assert rollout["inputs"]["observation"][:, 0, 1].tolist() == [0, 1, 2, 3, 0, 1]
    assert rollout["reward"][:, 0].tolist() == [1, 2, 3, 4, 1]
    assert rollout["action"].shape == rollout["log_prob"].shape == (HORIZON, ROWS)
    assert rollout["active"].all()
    assert collector.env_steps == HORIZON * ROWS


def test_episodes_start_where_they_end():
    collector, params = build()
    rollout = collector.collect(params)
    assert rollout["reset"][:, 0].tolist() == [True, False, False, False, True, False]
    assert rollout["terminated"][:, 0].tolist() == [False, False, False, True, False]
    assert rollout["truncated"][:, 1].tolist() == [False, False, False, True, False]


def test_memory_begins_anew_with_each_episode():
    collector, params = build()
    rollout = collector.collect(params)
    assert rollout["outputs"]["value"][:, 0].tolist() == [0, 1, 3, 6, 0]
    assert rollout["last_outputs"]["value"].tolist() == [1, 1, 1]


def test_a_truncated_episode_is_valued_by_its_final_observation_and_its_own_memory():
    collector, params = build()
    final = collector.collect(params)["final_outputs"]["value"]
    assert final[3].tolist() == [0, 0 + 1 + 2 + 3 + 4, 0]
    assert (final[[0, 1, 2, 4]] == 0).all()


def test_the_next_rollout_goes_on_where_the_last_ended():
    collector, params = build()
    collector.collect(params)
    rollout = collector.collect(params)
    assert rollout["inputs"]["observation"][:, 0, 1].tolist() == [1, 2, 3, 0, 1, 2]
    assert rollout["outputs"]["value"][:, 0].tolist() == [1, 3, 6, 0, 1]
    assert rollout["reset"][0].tolist() == [False] * ROWS
    assert rollout["carry"][0].tolist() == [0, 0, 0]
    assert (rollout["final_outputs"]["value"][[0, 1, 3, 4]] == 0).all()


def test_the_env_gets_its_own_numbering_of_actions():
    env = Counting()
    collector, params = build(env)
    rollout = collector.collect(params)
    assert (np.stack(env.actions) == rollout["action"] + 10).all()


def test_masked_actions_are_never_taken_and_reach_the_learner():
    env = Counting(action_mask=True)
    collector, params = build(env)
    rollout = collector.collect(params)
    assert (rollout["action"] == 1).all()
    assert rollout["inputs"]["action_mask"].shape == (HORIZON + 1, ROWS, 3)
    assert (rollout["log_prob"] == 0).all()


def test_previous_action_and_reward_are_zero_at_the_start_of_an_episode():
    env = Counting()
    policy = Remembering(env.spec, frozenset({"observation", "previous_action", "previous_reward"}))
    collector, params = build(env, policy)
    rollout = collector.collect(params)
    assert rollout["inputs"]["previous_reward"][:, 0].tolist() == [0, 1, 2, 3, 0, 1]
    expected = rollout["action"][:, 0].tolist()
    expected[3] = 0
    assert rollout["inputs"]["previous_action"][1:, 0].tolist() == expected
    following = collector.collect(params)
    assert following["inputs"]["previous_reward"][0].tolist() == [1, 1, 1]


def test_the_same_noise_gives_the_same_actions():
    first, second, other = (copied(build(rng=seed)[0].collect(build()[1])) for seed in (1, 1, 2))
    assert (first["action"] == second["action"]).all()
    assert (first["action"] != other["action"]).any()


def test_metrics_cover_what_ended_since_the_last_call():
    collector, params = build()
    collector.collect(params)
    metrics = collector.metrics()
    assert metrics["episode/return"] == 10.0
    assert metrics["episode/length"] == 4.0
    assert metrics["time/env"] > 0
    assert metrics["time/policy"] > 0
    empty = collector.metrics()
    assert np.isnan(empty["episode/return"])
    assert empty["episode/return_recent"] == 10.0
    assert empty["episode/count"] == ROWS


def test_a_restored_collector_goes_on_bit_for_bit():
    whole, params = build()
    whole.collect(params)
    expected = copied(whole.collect(params))
    noise = np.random.default_rng(0)
    half, _ = build(rng=noise)
    half.collect(params)
    fresh, _ = build(rng=noise)
    fresh.load_state_dict(half.state_dict())
    found = fresh.collect(params)
    for key in ("action", "reward", "reset", "log_prob", "terminated"):
        np.testing.assert_array_equal(found[key], expected[key])
    np.testing.assert_array_equal(found["carry"][0], expected["carry"][0])
    assert fresh.env_steps == whole.env_steps
    assert fresh.metrics()["episode/count"] == whole.metrics()["episode/count"]


def test_an_env_without_snapshots_starts_new_episodes():
    collector, params = build(Counting(snapshot=False))
    collector.collect(params)
    fresh, _ = build(Counting(snapshot=False))
    fresh.load_state_dict(collector.state_dict())
    assert fresh.env_steps == collector.env_steps
    assert fresh.collect(params)["reset"][0].all()


def test_a_checkpoint_without_env_states_starts_new_episodes():
    collector, params = build(Counting(snapshot=False))
    collector.collect(params)
    fresh, _ = build(Counting())
    fresh.load_state_dict(collector.state_dict())
    assert fresh.collect(params)["reset"][0].all()


def test_an_env_that_does_not_take_its_state_back_any_more_is_an_error_or_told():
    collector, params = build()
    collector.collect(params)
    fresh, _ = build(Counting(snapshot=False))
    with pytest.raises(CheckpointError, match="the env counting does not take back its state"):
        fresh.load_state_dict(collector.state_dict())
    said: list[str] = []
    fresh.load_state_dict(collector.state_dict(), instead=said.append)
    assert said == ["the env counting does not take back its state; new episodes start"]
    assert fresh.env_steps == collector.env_steps
    assert fresh.collect(params)["reset"][0].all()


def test_a_state_of_other_rows_is_refused():
    collector, params = build()
    collector.collect(params)
    other, _ = build(Counting(rows=4))
    with pytest.raises(CheckpointError, match=r"\(3,\), this run has float32 \(4,\)"):
        other.load_state_dict(collector.state_dict())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("global_state", "does not give"), ("weather", "weather, which the env counting does not give")],
)
def test_inputs_that_cannot_be_given_are_refused(wanted, message):
    env = Counting()
    with pytest.raises(UnsupportedError, match=message):
        build(env, Remembering(env.spec, frozenset({"observation", wanted})))


def test_close_reaches_the_env():
    env = Counting()
    build(env)[0].close()
    assert env.closed == 1
