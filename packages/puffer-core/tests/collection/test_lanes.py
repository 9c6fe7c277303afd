"""Two batches in turns: the rows of one batch, whatever the timing."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core.arrays import map_tree
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.errors import CheckpointError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout
from puffer_core.vector import SerialVectorEnv

ROWS, HORIZON = 6, 12


class PerRow:
    """Every output is computed element by element, so that the number of rows changes no bit; remembers a sum."""

    inputs = frozenset({"observation", "previous_action", "previous_reward"})

    def __init__(self, spec: VectorEnvSpec) -> None:
        self.interface = PolicyInterface(observation=spec.observation, action=spec.action)

    def init(self, rng: Any) -> Any:
        return {}

    def initial_carry(self, rows: int) -> Any:
        return {"total": np.zeros(rows, np.float32)}

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        seen = inputs["observation"][..., 0] + 0.1 * inputs["previous_reward"] + 0.01 * inputs["previous_action"]
        seen = ops.astype(seen, ops.float32)
        total = ops.where(reset[0], 0.0, carry["total"]) + seen[0]
        return {"logits": ops.stack([seen, -seen], axis=-1), "value": total[None]}, {"total": total}


def cartpole() -> Any:
    return gymnasium.make("CartPole-v1", max_episode_steps=14)


def collector(batches: int, make: Any = None, **options: Any) -> HostCollector:
    make = make or (lambda count: SerialVectorEnv(cartpole, count, id="cartpole"))
    envs = [make(ROWS // batches) for _ in range(batches)]
    rng = options.pop("rng", None) or np.random.default_rng(1)
    policy: Any = PerRow(envs[0].spec)
    return HostCollector(envs, policy, backend=NumpyBackend(), horizon=HORIZON, seed=5, rng=rng, **options)


def rollouts(which: HostCollector, count: int = 3) -> list[Any]:
    return [map_tree(np.array, which.collect({})) for _ in range(count)]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        map_tree(np.testing.assert_array_equal, one, other)


def test_two_batches_give_the_rows_of_one() -> None:
    whole, halves = collector(1), collector(2)
    expected = rollouts(whole)
    assert any(rollout["truncated"].any() for rollout in expected)
    assert any(rollout["terminated"].any() for rollout in expected)
    assert_same(rollouts(halves), expected)
    counted = (whole.metrics(), halves.metrics())
    for name in ("episode/return", "episode/length", "episode/count"):
        assert counted[0][name] == counted[1][name]
    assert whole.env_steps == halves.env_steps == 3 * HORIZON * ROWS


class Turns:
    """Notes who is sent to and waited for; rows that do nothing."""

    def __init__(self, name: str, said: list[str], count: int) -> None:
        box, choice = Layout.of(gymnasium.spaces.Box(-1, 1, (1,))), Layout.of(gymnasium.spaces.Discrete(2))
        self.spec = VectorEnvSpec.single_agent(id="turns", num_envs=count, observation=box, action=choice)
        self.name, self.said = name, said

    def bind(self, buffers: EnvBuffers) -> None:
        self.rows = buffers.reward.shape[1]

    def reset(self, seed: int, first: int = 0) -> None:
        self.said.append(f"reset {self.name} from {first}")

    def step(self, action: Any, slot: int) -> Any:
        raise AssertionError("two batches are stepped by send and recv")

    def send(self, action: Any, slot: int) -> None:
        assert len(action) == self.rows
        self.said.append(f"send {self.name}{slot}")

    def recv(self) -> Any:
        self.said.append(f"recv {self.name}")
        return ()

    def metrics(self) -> dict[str, float]:
        return {"env/restarts": 2.0}

    def snapshot(self) -> Any:
        raise AssertionError

    def restore(self, state: Any) -> None:
        raise AssertionError

    def close(self) -> None:
        self.said.append(f"close {self.name}")
        if self.name == "a":
            raise RuntimeError("it would not close")


@pytest.fixture
def turns() -> tuple[HostCollector, list[str]]:
    said: list[str] = []
    names = iter("ab")
    return collector(2, lambda count: Turns(next(names), said, count)), said


def test_one_batch_is_always_in_flight_while_the_policy_acts_in_the_other(turns: Any) -> None:
    which, said = turns
    which.collect({})
    assert said[:2] == ["reset a from 0", "reset b from 3"]
    assert said[2:8] == ["send a1", "send b1", "recv a", "send a2", "recv b", "send b2"]
    assert said[-4:] == ["recv b", f"send b{HORIZON}", "recv a", "recv b"]


def test_what_the_envs_count_is_added_up_among_the_metrics(turns: Any) -> None:
    assert turns[0].metrics()["env/restarts"] == 4.0


def test_every_batch_is_closed_even_where_one_fails(turns: Any) -> None:
    which, said = turns
    with pytest.raises(RuntimeError, match="would not close"):
        which.close()
    assert sorted(said[-2:]) == ["close a", "close b"]


class Clock:
    """Counts the steps of its episodes, which last three; can give its state."""

    def __init__(self, count: int) -> None:
        box, choice = Layout.of(gymnasium.spaces.Box(0, 9, (1,))), Layout.of(gymnasium.spaces.Discrete(2))
        self.spec = VectorEnvSpec.single_agent(
            id="clock", num_envs=count, observation=box, action=choice, snapshot=True
        )
        self.count = np.zeros(count)

    def bind(self, buffers: EnvBuffers) -> None:
        self.slots = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        self.count[:] = (first + np.arange(self.spec.rows)) % 3
        self.slots.observation[0, :, 0] = self.count

    def send(self, action: Any, slot: int) -> None:
        self.count += 1
        self.slots.reward[slot] = action
        self.slots.terminated[slot] = self.count == 3
        self.count[self.count == 3] = 0
        self.slots.observation[slot, :, 0] = self.count

    def recv(self) -> Any:
        return ()

    def step(self, action: Any, slot: int) -> Any:
        return self.send(action, slot)

    def snapshot(self) -> Any:
        return {"count": self.count.copy()}

    def restore(self, state: Any) -> None:
        self.count[:] = state["count"]

    def close(self) -> None:
        pass


def test_two_batches_go_on_from_a_state_bit_for_bit() -> None:
    expected = rollouts(collector(2, Clock), 4)
    noise = np.random.default_rng(1)
    half = collector(2, Clock, rng=noise)
    rollouts(half, 2)
    fresh = collector(2, Clock, rng=noise)
    fresh.load_state_dict(map_tree(lambda x: x.copy() if isinstance(x, np.ndarray) else x, half.state_dict()))
    assert_same(rollouts(fresh, 2), expected[2:])


def test_a_state_of_another_number_of_batches_is_refused() -> None:
    whole, halves = collector(1, Clock), collector(2, Clock)
    rollouts(whole, 1)
    with pytest.raises(CheckpointError, match="the state of 1 envs, this run has 2"):
        halves.load_state_dict(whole.state_dict())


def test_every_step_carries_the_number_of_the_collect_that_acted() -> None:
    versions = [rollout["version"] for rollout in rollouts(collector(2), 3)]
    assert [np.unique(version).tolist() for version in versions] == [[1], [2], [3]]
    assert versions[0].shape == (HORIZON, ROWS)
    assert versions[0].dtype == np.int64


def test_slots_are_allocated_as_the_env_says() -> None:
    asked: list[tuple[int, ...]] = []

    class Sharing(Clock):
        @staticmethod
        def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
            asked.append(shape)
            return np.zeros(shape, dtype)

    rollouts(collector(2, Sharing), 1)
    assert (HORIZON + 1, ROWS, 1) in asked


@pytest.mark.parametrize("batches", [1, 2])
def test_poison_changes_nothing_that_is_collected(batches: int) -> None:
    make = partial(SerialVectorEnv, cartpole, id="cartpole")
    assert_same(rollouts(collector(batches, make, poison=True)), rollouts(collector(batches, make)))


def test_a_view_that_was_kept_is_poisoned() -> None:
    which = collector(1, poison=True)
    kept = which.collect({})
    seen: list[Any] = []
    env: Any = which._lanes[0].env
    send = env.send

    def watched(action: Any, slot: int) -> None:
        if slot == 1:
            seen.append(map_tree(np.array, kept))
        send(action, slot)

    env.send = watched
    which.collect({})
    (during,) = seen
    assert np.isnan(during["inputs"]["observation"][1:]).all()
    assert np.isfinite(during["inputs"]["observation"][0]).all()
    assert np.isnan(during["reward"]).all()
    assert np.isnan(during["outputs"]["value"][1:]).all()
    assert (during["action"][1:] == np.iinfo(np.int64).max).all()
