"""The Env suite passes on envs that keep the contract, and each of its checks fails on one that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnv, VectorEnvSpec
from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout
from puffer_core.vector import SerialVectorEnv, environment_seed
from puffer_testing.env import EnvConformance
from puffer_testing.playing import difference, outside, random_action

LIMIT = 7


class Walk:
    """A whole `VectorEnv` in few lines: a random walk that ends after seven steps, or at 9; action 1 stands still."""

    def __init__(self, num_envs: int) -> None:
        self.spec = VectorEnvSpec.single_agent(
            id="walk",
            num_envs=num_envs,
            observation=Layout.of(gymnasium.spaces.Box(-10, 10, (2,))),
            action=Layout.of(gymnasium.spaces.Discrete(3, start=-1)),
            action_mask=True,
            snapshot=True,
            max_episode_steps=LIMIT,
        )
        self.position = np.zeros(num_envs, np.float32)
        self.age = np.zeros(num_envs, np.int64)
        self.rngs: list[np.random.Generator] = [np.random.default_rng(0)] * num_envs

    def bind(self, buffers: EnvBuffers) -> None:
        self.buffers = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        self.rngs = [np.random.default_rng(environment_seed(seed, first + i)) for i in range(self.spec.num_envs)]
        for i in range(self.spec.num_envs):
            self.begin(i)
        self.buffers.reward[0] = 0.0
        self.buffers.terminated[0] = self.buffers.truncated[0] = False
        self.show(0)

    def begin(self, i: int) -> None:
        self.position[i] = self.rngs[i].uniform(-1, 1)
        self.age[i] = 0

    def show(self, slot: int) -> None:
        self.buffers.observation[slot] = np.stack([self.position, self.age.astype(np.float32)], axis=1)
        assert self.buffers.action_mask is not None
        self.buffers.action_mask[slot] = np.stack([self.position > 0, self.position < 99, self.age > 0], axis=1)

    def step(self, action: np.ndarray[Any, Any], slot: int) -> Infos:
        for i, rng in enumerate(self.rngs):
            self.position[i] = min(9.0, self.position[i] + action[i] * rng.uniform(0, 2))
            self.age[i] += 1
        b = self.buffers
        b.reward[slot] = self.position
        b.terminated[slot] = self.position >= 9
        b.truncated[slot] = self.age >= LIMIT
        ended = np.flatnonzero(b.terminated[slot] | b.truncated[slot]).tolist()
        for i in ended:
            b.final_observation[slot, i] = self.position[i], self.age[i]
            self.begin(i)
        self.show(slot)
        return [(i, {"ended": True}) for i in ended]

    def send(self, action: np.ndarray[Any, Any], slot: int) -> None:
        self.infos = self.step(action, slot)

    def recv(self) -> Infos:
        return self.infos

    def snapshot(self) -> dict[str, Any]:
        words = [
            np.array([(s >> (64 * k)) % 2**64 for s in self.state(r) for k in (0, 1)], np.uint64) for r in self.rngs
        ]
        return {"position": self.position.copy(), "age": self.age.copy(), "rng": np.stack(words)}

    @staticmethod
    def state(rng: np.random.Generator) -> tuple[int, int]:
        inner = rng.bit_generator.state["state"]
        return inner["state"], inner["inc"]

    def restore(self, state: dict[str, Any]) -> None:
        self.position[:], self.age[:] = state["position"], state["age"]
        self.rngs = [np.random.default_rng() for _ in self.rngs]
        for rng, words in zip(self.rngs, state["rng"].tolist(), strict=True):
            full = rng.bit_generator.state
            full["state"] = {"state": words[0] | words[1] << 64, "inc": words[2] | words[3] << 64}
            rng.bit_generator.state = full | {"has_uint32": 0, "uinteger": 0}

    def close(self) -> None:
        pass


class TestWalk(EnvConformance):
    steps = 60

    def make(self, num_envs: int) -> VectorEnv:
        return Walk(num_envs)


class TestCartPole(EnvConformance):
    id = "gymnasium:CartPole-v1"
    steps = 60


class TestPendulum(EnvConformance):
    id = "Pendulum-v1"
    options = {"max_episode_steps": 20}
    steps = 50


class TestFrozenLake(EnvConformance):
    id = "FrozenLake-v1"
    steps = 60


class TestMultiDiscreteWithMask(EnvConformance):
    steps = 60

    def make(self, num_envs: int) -> VectorEnv:
        return SerialVectorEnv(Locks, num_envs, id="locks")


class Locks(gymnasium.Env[Any, Any]):
    """Observation and action are MultiDiscrete with starts; ends at random; the mask comes as a tuple."""

    action_space = gymnasium.spaces.MultiDiscrete([2, 3], start=[1, -5])
    observation_space = gymnasium.spaces.MultiDiscrete([4, 2], start=[10, 0])
    spec = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.draw()

    def draw(self) -> tuple[Any, dict[str, Any]]:
        masks = self.np_random.integers(0, 2, 2), np.array([1, self.np_random.integers(0, 2), 0])
        masks[0][0] |= 1 - masks[0][1]
        self.masks = masks
        return self.np_random.integers([10, 0], [14, 2]), {"action_mask": masks}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        assert self.masks[0][action[0] - 1]
        assert self.masks[1][action[1] + 5]
        observation, info = self.draw()
        return observation, float(action.sum()), bool(self.np_random.random() < 0.1), False, info


class Rooms(gymnasium.Env[Any, Any]):
    """Dict observation and Dict action, nested, of every kind of leaf; says in its info which moves are allowed."""

    observation_space = gymnasium.spaces.Dict(
        [
            ("image", gymnasium.spaces.Box(0, 255, (3, 3, 1), np.uint8)),
            (
                "pose",
                gymnasium.spaces.Tuple([gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(4, start=1)]),
            ),
            ("doors", gymnasium.spaces.MultiBinary(4)),
        ]
    )
    action_space = gymnasium.spaces.Dict(
        move=gymnasium.spaces.Discrete(3, start=-1),
        arm=gymnasium.spaces.Tuple([gymnasium.spaces.Box(-2, 2, (2,), np.float64), gymnasium.spaces.MultiBinary(2)]),
    )
    spec = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.draw()

    def draw(self) -> tuple[Any, dict[str, Any]]:
        rng = self.np_random
        self.mask = np.array([rng.integers(2), 1, 0])
        observation = {
            "doors": rng.integers(0, 2, 4, np.int8),
            "image": rng.integers(0, 256, (3, 3, 1), np.uint8),
            "pose": (rng.uniform(-1, 1, 2).astype(np.float32), int(rng.integers(1, 5))),
        }
        return observation, {"action_mask": {"move": self.mask}}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        assert self.mask[action["move"] + 1]
        push, grip = action["arm"]
        observation, info = self.draw()
        reward = float(action["move"] + push.sum() + grip.sum())
        return observation, reward, bool(self.np_random.random() < 0.1), False, info


class Cards(gymnasium.Env[Any, Any]):
    """A Tuple action of two masked choices; the mask is in the observation, as PettingZoo has it."""

    observation_space = gymnasium.spaces.Dict(
        observation=gymnasium.spaces.MultiBinary(3), action_mask=gymnasium.spaces.Box(0, 1, (5,), np.int8)
    )
    action_space = gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(3)])
    spec = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.draw(), {}

    def draw(self) -> Any:
        self.mask = self.np_random.integers(0, 2, 5, np.int8)
        self.mask[[1, 4]] = 1
        return {"observation": self.np_random.integers(0, 2, 3, np.int8), "action_mask": self.mask}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        assert self.mask[action[0]]
        assert self.mask[2 + action[1]]
        return self.draw(), float(sum(action)), bool(self.np_random.random() < 0.1), False, {}


class Switches(gymnasium.Env[Any, Any]):
    """MultiBinary both ways: every switch that is pressed flips, and one more at random."""

    observation_space = action_space = gymnasium.spaces.MultiBinary([2, 2])
    spec = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.on = self.np_random.integers(0, 2, (2, 2), np.int8)
        return self.on.copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.on ^= action
        self.on.flat[self.np_random.integers(4)] ^= 1
        return self.on.copy(), float(self.on.sum()), bool(self.on.all()), False, {}


class TestDictWithMasksInTheInfo(EnvConformance):
    steps = 60

    def make(self, num_envs: int) -> VectorEnv:
        return SerialVectorEnv(Rooms, num_envs, id="rooms")


class TestTupleWithMasksInTheObservation(EnvConformance):
    steps = 60

    def make(self, num_envs: int) -> VectorEnv:
        return SerialVectorEnv(Cards, num_envs, id="cards")


class TestMultiBinary(EnvConformance):
    steps = 60

    def make(self, num_envs: int) -> VectorEnv:
        return SerialVectorEnv(Switches, num_envs, id="switches")


# --- each check must be able to fail ---


def suite_of(factory: Callable[[int], VectorEnv]) -> EnvConformance:
    class Suite(EnvConformance):
        steps = 60

        def make(self, num_envs: int) -> VectorEnv:
            return factory(num_envs)

    return Suite()


class Faulty(Walk):
    def after(self, slot: int) -> None:
        """What a faulty step does beside the right thing."""

    def step(self, action: np.ndarray[Any, Any], slot: int) -> Infos:
        infos = super().step(action, slot)
        self.after(slot)
        return infos


class ForgetsReward(Walk):
    def step(self, action: np.ndarray[Any, Any], slot: int) -> Infos:
        before = self.buffers.reward[slot].copy()
        infos = super().step(action, slot)
        self.buffers.reward[slot, 1:2] = before[1:2]
        return infos


class IgnoresFirst(Walk):
    def reset(self, seed: int, first: int = 0) -> None:
        super().reset(seed)


class EarnsWhileInactive(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.active[slot, 0] = slot % 2 == 0
        self.buffers.reward[slot] = 1.0


class WritesAnotherSlot(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.reward[slot - 1] += 1.0


class WritesOutside(Faulty):
    def after(self, slot: int) -> None:
        reward = self.buffers.reward
        if reward.strides[0] > reward[slot].nbytes:  # they are a part of larger ones
            np.lib.stride_tricks.as_strided(reward[slot], (reward.shape[1] + 1,))[-1] = 5.0


class LeavesItsSpace(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.observation[slot, 0, 0] = 11.0


class NotANumber(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.reward[slot, 0] = np.nan


class Inactive(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.active[slot, 0] = False


class MasksAll(Faulty):
    def after(self, slot: int) -> None:
        assert self.buffers.action_mask is not None
        if slot == 3:
            self.buffers.action_mask[slot, 0] = False


class InfosByRow(Walk):
    def step(self, action: np.ndarray[Any, Any], slot: int) -> Any:
        return dict(super().step(action, slot))


class InfoWithoutRow(Walk):
    def step(self, action: np.ndarray[Any, Any], slot: int) -> Any:
        return [(99, {})]


class IgnoresSeed(Walk):
    def reset(self, seed: int, first: int = 0) -> None:
        super().reset(0)


class Unseeded(Walk):
    def reset(self, seed: int, first: int = 0) -> None:
        super().reset(int(np.random.default_rng().integers(2**30)))


class OneSeedForAll(Walk):
    def reset(self, seed: int, first: int = 0) -> None:
        super().reset(seed)
        self.rngs = [np.random.default_rng(seed) for _ in self.rngs]
        self.position[...] = 0.5
        self.show(0)


class OneStreamForAll(Walk):
    def reset(self, seed: int, first: int = 0) -> None:
        super().reset(seed)
        self.rngs = [np.random.default_rng(seed)] * len(self.rngs)


class KeepsState(Walk):
    def begin(self, i: int) -> None:
        self.rngs[i].uniform()
        self.position[i] = 0.5 * self.position[i] + self.rngs[i].uniform(-1, 1) if self.age[i] else 0.5
        self.age[i] = 0


class KeepsOutcomes(Walk):
    def reset(self, seed: int, first: int = 0) -> None:
        before = self.buffers.terminated[0].copy()
        super().reset(seed)
        self.buffers.terminated[0] = before


class FinalIsFirst(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.final_observation[slot] = self.buffers.observation[slot]


class FinalOutside(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.final_observation[slot] = 77.0


class NeverTruncates(Faulty):
    def after(self, slot: int) -> None:
        self.buffers.truncated[slot] = False


class OtherRecv(Walk):
    def send(self, action: np.ndarray[Any, Any], slot: int) -> None:
        super().send(action, slot)
        self.buffers.reward[slot] += 1.0


class HalfSnapshot(Walk):
    def restore(self, state: dict[str, Any]) -> None:
        super().restore({**state, "age": np.zeros_like(self.age)})


class SnapshotOfObjects(Walk):
    def snapshot(self) -> dict[str, Any]:
        return {"rngs": tuple(self.rngs)}


class SnapshotUnclaimed(Walk):
    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        object.__setattr__(self.spec, "snapshot", False)


class ClosesOnce(Walk):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class WrongRows(Walk):
    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs + 1)


class NoRecv:
    spec = None

    def __init__(self, num_envs: int) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (NoRecv, "it_has_every_method_of_a_vector_env", "missing of VectorEnv: .*'recv'"),
        (
            ForgetsReward,
            "every_slot_is_written_whole",
            "a step leaves something .* reward differs first at step 0, row 1",
        ),
        (KeepsOutcomes, "every_slot_is_written_whole", "reset leaves something of slot 0 unwritten: terminated"),
        (KeepsOutcomes, "reset_starts_without_outcomes", "terminated of slot 0 is .*True.*, expected all 0"),
        (WritesAnotherSlot, "a_step_writes_its_own_slot_only", "changed reward of another slot"),
        (WritesOutside, "it_writes_nothing_outside_its_part", "it wrote reward outside"),
        (
            LeavesItsSpace,
            "observations_are_in_their_space",
            r"after step .* step 0, row 0: got \[11.0, .* within the bounds",
        ),
        (NotANumber, "rewards_are_numbers", "a reward is nan"),
        (Inactive, "rows_of_a_single_agent_are_always_active", "is inactive"),
        (EarnsWhileInactive, "an_inactive_row_earns_nothing", "that was not active earned 1.0, expected 0"),
        (IgnoresFirst, "a_part_of_a_batch_plays_what_the_whole_plays_there", "reset with first=3 play differently"),
        (MasksAll, "a_mask_leaves_a_choice", "allows no action at all"),
        (InfosByRow, "infos_are_pairs_of_row_and_dict", "expected a sequence"),
        (InfoWithoutRow, "infos_are_pairs_of_row_and_dict", r"an info is \(99, {}\)"),
        (Unseeded, "the_same_seed_gives_the_same_trajectory", "two envs with one seed differ: observation differs"),
        (IgnoresSeed, "another_seed_gives_another_trajectory", "seeds 3 and 4 give the same trajectory"),
        (KeepsState, "reset_forgets_what_was_played", "reset of a used env"),
        (OneSeedForAll, "environments_differ_from_one_another", "environments 0 and 1 play the same"),
        (OneStreamForAll, "a_row_plays_the_same_whatever_the_number_of_envs", "differently beside three others"),
        (
            FinalIsFirst,
            "an_ended_episode_leaves_its_last_observation_and_begins_anew",
            "are equal: autoreset is same-step",
        ),
        (
            FinalOutside,
            "an_ended_episode_leaves_its_last_observation_and_begins_anew",
            "final_observation is not in its",
        ),
        (NeverTruncates, "no_episode_outlasts_the_time_limit", "goes on after 7 steps"),
        (OtherRecv, "send_and_recv_are_a_step", "another trajectory than step: reward"),
        (HalfSnapshot, "a_snapshot_brings_everything_back", "restored into a used env, the snapshot plays differently"),
        (SnapshotOfObjects, "a_snapshot_brings_everything_back", "the snapshot holds tuple at '/rngs'"),
        (SnapshotUnclaimed, "a_snapshot_brings_everything_back", "DID NOT RAISE"),
        (ClosesOnce, "closing_twice_is_harmless", "closed twice"),
    ],
)
def test_a_broken_env_fails_the_check(broken: Any, check: str, message: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=f"(?s){message}"):
        getattr(suite_of(broken), f"test_{check}")()


def test_a_spec_of_other_rows_fails() -> None:
    with pytest.raises(AssertionError, match=r"asked for 3 environments, spec\.num_envs is 4"):
        suite_of(WrongRows).test_its_spec_is_coherent(3)


def test_a_suite_without_id_says_so() -> None:
    class Nameless(EnvConformance):
        pass

    with pytest.raises(AssertionError, match="Nameless sets no `id` and overrides no `make`"):
        Nameless().test_closing_twice_is_harmless()


def test_no_end_within_the_steps_is_no_silent_success() -> None:
    suite = suite_of(Walk)
    suite.steps = 2
    with pytest.raises(pytest.skip.Exception, match="no episode ended within 2 steps"):
        suite.test_an_ended_episode_leaves_its_last_observation_and_begins_anew()


def test_options_and_targets_reach_the_env() -> None:
    class Short(EnvConformance):
        id = "gymnasium:Pendulum-v1"
        options = {"max_episode_steps": 5}

    env = Short().make(2)
    assert env.spec.max_episode_steps == 5
    with pytest.raises(UnsupportedError):
        env.snapshot()
    env.close()


def test_differences_are_seen_to_the_bit() -> None:
    zero, negative = {"x": np.zeros((1, 1))}, {"x": -np.zeros((1, 1))}
    assert difference(zero, negative) == "x differs first at step 0, row 0: 0.0 against -0.0"
    assert difference(zero, {"x": np.zeros((1, 2))}) == "x is float64 (1, 1) against float64 (1, 2)"


def test_choices_that_count_from_their_start_are_outside() -> None:
    layout = Layout.of(gymnasium.spaces.Discrete(3, start=1))
    assert outside(layout, np.array([[0, 2]])) == ""
    assert "row 1: got 3, expected choices counted from 0" in outside(layout, np.array([[0, 3]]))


def test_an_observation_outside_its_space_is_named_by_its_part() -> None:
    layout = Layout.of(gymnasium.spaces.Dict(near=gymnasium.spaces.Discrete(2), eye=gymnasium.spaces.Box(0, 1, (2,))))
    rows = np.zeros((1, 2, *layout.shape), np.uint8)
    parts = layout.split(rows)
    assert outside(layout, rows) == ""
    parts["near"][0, 1] = 2
    assert outside(layout, rows).startswith("near of step 0, row 1: got 2, expected choices counted from 0, below 2")
    assert outside(layout, rows, np.array([[True, False]])) == ""
    parts["eye"][0, 0] = np.nan, 0
    assert "eye of step 0, row 0: got [nan, 0.0], expected within the bounds of a float32 box" in outside(
        layout, rows, np.array([[True, False]])
    )


def test_random_actions_keep_to_every_mask_and_bound() -> None:
    space = gymnasium.spaces.Dict(
        push=gymnasium.spaces.Box(np.array([-np.inf, 2]), np.array([-3, np.inf]), dtype=np.float64),
        pick=gymnasium.spaces.MultiDiscrete([2, 3], start=[4, 0]),
        flip=gymnasium.spaces.MultiBinary(1),
    )
    layout, rng = Layout.of(space), np.random.default_rng(0)
    assert layout.names == ("push", "pick", "flip")
    mask = np.array([0, 1, 1, 0, 1, 1, 0], np.bool_)
    actions = [layout.structure(random_action(layout, rng, mask)) for _ in range(30)]
    assert all(map(space.contains, actions))
    assert {(*map(int, action["pick"]), *map(int, action["flip"])) for action in actions} == {(5, 0, 0), (5, 2, 0)}
