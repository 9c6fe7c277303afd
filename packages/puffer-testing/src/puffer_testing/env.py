"""The conformance suite of the Env contract.

from puffer_testing import EnvConformance

class TestMine(EnvConformance):
    id = "mine"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.errors import UnsupportedError
from puffer_core.plan import VectorConfig
from puffer_core.spaces.layout import Layout
from puffer_core.vector import make_vector_env
from puffer_testing.components import host
from puffer_testing.playing import Player, Recorded, difference, outside


class EnvConformance:
    """Everything that the Env contract promises. Set `id`, or override `make`."""

    id: str = ""
    """As on the command line: a registered name, `gymnasium:ID`, or `py:module:Attribute`."""

    options: dict[str, Any] = {}
    """The env's options."""

    steps: int = 200
    """Steps of a test; enough for some episodes to end."""

    num_envs: int = 3
    """Environments that are played together, where a check does not need another number."""

    deterministic: bool = False
    """The env has nothing random in it: another seed need not give another trajectory."""

    lossy: bool = False
    """The env may lose transitions, so that rows are inactive although there is one agent."""

    longest: int = 1000
    """Time limits beyond this many steps are not waited for."""

    def make(self, num_envs: int) -> VectorEnv:
        """A new env of `num_envs` environments, not bound yet; called several times a test."""
        assert self.id, f"{type(self).__name__} sets no `id` and overrides no `make`"
        provided = host().find_env(self.id)
        vector = VectorConfig(num_envs=num_envs)
        return make_vector_env(provided, host().load(provided), dict(self.options), vector)

    @contextmanager
    def _player(self, num_envs: int | None = None, **how: Any) -> Iterator[Player]:
        with closing(self.make(num_envs or self.num_envs)) as env:
            yield Player(env, **how)

    def _played(self, num_envs: int | None = None, *, seed: int = 0, **how: Any) -> Recorded:
        with self._player(num_envs, **how) as player:
            player.reset(seed)
            return player.run(self.steps)

    # --- what it says of itself ---

    def test_it_has_every_method_of_a_vector_env(self) -> None:
        with closing(self.make(1)) as env:
            names = ["spec", *(name for name in VectorEnv.__dict__ if not name.startswith("_"))]
            missing = [name for name in names if not hasattr(env, name)]
        assert not missing, f"missing of VectorEnv: {missing}"

    @pytest.mark.parametrize("num_envs", [1, 3])
    def test_its_spec_is_coherent(self, num_envs: int) -> None:
        with closing(self.make(num_envs)) as env:
            spec = env.spec
        agents = len(spec.agents)
        assert spec.id, "spec.id is empty"
        assert spec.num_envs == num_envs, f"asked for {num_envs} environments, spec.num_envs is {spec.num_envs}"
        assert spec.rows == num_envs * agents, f"{num_envs} envs of {agents} agents give {spec.rows} rows"
        row_env = np.repeat(np.arange(num_envs), agents)
        assert np.array_equal(spec.row_env, row_env), f"spec.row_env is {spec.row_env}, expected {row_env}"
        assert spec.row_group.shape == (spec.rows,), f"spec.row_group has shape {spec.row_group.shape}"
        assert set(spec.row_group) == set(range(len(spec.groups))), "spec.row_group does not name each group"
        for name in ("observation", "action"):
            assert isinstance(getattr(spec, name), Layout), f"spec.{name} is no Layout"
        limit = spec.max_episode_steps
        assert limit is None or limit >= 1, f"spec.max_episode_steps is {limit}, expected None or >= 1"
        assert spec.action.mask_size or not spec.action_mask, "spec.action_mask is True, but actions are no choices"

    # --- what it writes ---

    def test_reset_starts_without_outcomes(self) -> None:
        with self._player() as player:
            player.buffers.reward[...] = 7.0
            player.buffers.terminated[...] = player.buffers.truncated[...] = True
            start = player.reset(seed=0)
        for name in ("reward", "terminated", "truncated"):
            assert not start[name].any(), f"after reset, {name} of slot 0 is {start[name][0]}, expected all 0"

    def test_every_slot_is_written_whole(self) -> None:
        """Whatever lay in the slots before makes no difference: nothing is left out."""
        with closing(self.make(3)) as one, closing(self.make(3)) as other:
            zeros, ones = (Player(env, buffers=_filled(env, byte)) for env, byte in ((one, 0), (other, 255)))
            _same(zeros.reset(seed=0), ones.reset(seed=0), "reset leaves something of slot 0 unwritten")
            _same(zeros.run(self.steps), ones.run(self.steps), "a step leaves something of its slot unwritten")

    def test_a_step_writes_its_own_slot_only(self) -> None:
        with self._player() as player:
            player.reset(seed=0)
            for _ in range(min(self.steps, 50)):
                if player.slot == player.buffers.slots - 1:  # the next step wraps first
                    player.run(1)
                before = {name: array.copy() for name, array in player.buffers.arrays().items()}
                player.run(1)
                for name, array in player.buffers.arrays().items():
                    others = np.arange(len(array)) != player.slot
                    unchanged = array[others].tobytes() == before[name][others].tobytes()
                    assert unchanged, f"the step that writes slot {player.slot} changed {name} of another slot"

    def test_it_writes_nothing_outside_its_part(self) -> None:
        alone = self._played(2)
        with closing(self.make(6)) as larger:
            whole = EnvBuffers.allocate(larger.spec, 4)
        rows = len(whole.reward[0]) // 3
        part = whole.part(slice(rows, 2 * rows), slice(2, 4))
        before = {name: array.copy() for name, array in whole.arrays().items()}
        within = self._played(2, buffers=part)
        _same(alone, within, "bound to a part of larger buffers, it plays differently")
        for name, array in whole.arrays().items():
            width = array.shape[1] // 3
            for outer in (slice(0, width), slice(2 * width, None)):
                unchanged = array[:, outer].tobytes() == before[name][:, outer].tobytes()
                assert unchanged, f"bound to a part of larger buffers, it wrote {name} outside"

    def test_observations_are_in_their_space(self) -> None:
        with self._player() as player:
            start, played = player.reset(seed=0), player.run(self.steps)
            layout = player.env.spec.observation
        for when, record in (("reset", start), ("step", played)):
            wrong = outside(layout, record["observation"], record["active"])
            assert not wrong, f"an observation after {when} is not in its space: {wrong}"

    def test_rewards_are_numbers(self) -> None:
        reward = self._played()["reward"]
        assert np.isfinite(reward).all(), f"a reward is {reward[~np.isfinite(reward)][0]}, expected a finite number"

    def test_rows_of_a_single_agent_are_always_active(self) -> None:
        with self._player() as player:
            player.reset(seed=0)
            active = player.run(self.steps)["active"]
            if self.lossy or len(player.env.spec.agents) > 1:
                pytest.skip("agents may die, or transitions are lost")
        assert active.all(), "a row of a single-agent env is inactive"

    def test_an_inactive_row_earns_nothing(self) -> None:
        played = self._played()
        earned = played["reward"][1:][~played["active"][:-1]]
        assert not earned.any(), f"a row that was not active earned {earned[earned != 0][0]}, expected 0"

    def test_a_mask_leaves_a_choice(self) -> None:
        with self._player() as player:
            spec = player.env.spec
            if not spec.action_mask:
                pytest.skip("the env gives no action mask")
            records = [player.reset(seed=0), player.run(self.steps)]
        masks = np.concatenate([record["action_mask"][record["active"]] for record in records])
        sizes = [size for leaf in spec.action.leaves for size in leaf.sizes]
        for element in np.split(masks, np.cumsum(sizes)[:-1], axis=-1):
            assert element.any(axis=-1).all(), "an action mask allows no action at all"

    def test_infos_are_pairs_of_row_and_dict(self) -> None:
        with self._player() as player:
            player.reset(seed=0)
            player.run(self.steps)
            rows = player.env.spec.rows
        for infos in player.infos:
            assert isinstance(infos, Sequence), f"infos are {infos!r}, expected a sequence of (row, dict)"
            for info in infos:
                pair = isinstance(info, tuple) and len(info) == 2
                fits = pair and info[0] in range(rows) and isinstance(info[1], Mapping)
                assert fits, f"an info is {info!r}, expected (row below {rows}, dict)"

    # --- seeds ---

    def test_the_same_seed_gives_the_same_trajectory(self) -> None:
        _same(self._played(seed=3), self._played(seed=3), "two envs with one seed differ")

    def test_reset_forgets_what_was_played(self) -> None:
        with self._player(action_seed=1) as used:
            used.reset(seed=0)
            used.run(self.steps)
            again = Player(used.env)
            start, played = again.reset(seed=3), again.run(self.steps)
        with self._player() as new:
            _same(new.reset(seed=3), start, "reset of a used env gives another start than that of a new one")
            _same(new.run(self.steps), played, "after reset, a used env plays differently from a new one")

    def test_another_seed_gives_another_trajectory(self) -> None:
        if self.deterministic:
            pytest.skip("the env says that it is deterministic")
        same = not difference(self._played(seed=3), self._played(seed=4))
        assert not same, (
            "seeds 3 and 4 give the same trajectory; if the env has no randomness, set deterministic = True"
        )

    def test_environments_differ_from_one_another(self) -> None:
        if self.deterministic:
            pytest.skip("the env says that it is deterministic")
        played = self._played(2, alike=True)
        halves = [{name: np.array_split(array, 2, axis=1)[i] for name, array in played.items()} for i in (0, 1)]
        assert difference(*halves), "environments 0 and 1 play the same: seed environment i from (seed, i)"

    def test_a_row_plays_the_same_whatever_the_number_of_envs(self) -> None:
        few, many = self._played(2), self._played(5)
        first = {name: array[:, : few[name].shape[1]] for name, array in many.items()}
        _same(few, first, "environments 0 and 1 play differently beside three others")

    def test_a_part_of_a_batch_plays_what_the_whole_plays_there(self) -> None:
        part, whole = self._played(2, first=3), self._played(6)
        rows = part["reward"].shape[1] // 2
        agents = slice(3 * rows, 5 * rows)
        envs = {
            name: array[:, 3:5] if name.endswith("global_state") else array[:, agents] for name, array in whole.items()
        }
        _same(part, envs, "two environments reset with first=3 play differently from environments 3 and 4 of six")

    # --- episodes ---

    def test_an_ended_episode_leaves_its_last_observation_and_begins_anew(self) -> None:
        with self._player() as player:
            player.reset(seed=0)
            played = player.run(self.steps)
            layout = player.env.spec.observation
        ended = played["terminated"] | played["truncated"]
        if not ended.any():
            pytest.skip(f"no episode ended within {self.steps} steps; raise `steps`")
        final, following = played["final_observation"][ended][None], played["observation"][ended][None]
        wrong = outside(layout, final)
        assert not wrong, f"a final_observation is not in its space: {wrong}"
        varies = (played["observation"] != played["observation"][:1, :1]).any()
        assert not varies or not np.array_equal(final, following), (
            "wherever an episode ended, observation and final_observation are equal: autoreset is same-step, so "
            "observation is the first of the next episode and final_observation the last of the old one"
        )

    def test_no_episode_outlasts_the_time_limit(self) -> None:
        with self._player(2) as player:
            limit = player.env.spec.max_episode_steps
            if limit is None or limit > self.longest:
                pytest.skip(f"the time limit is {limit}")
            acts = player.reset(seed=0)["active"][0]
            played = player.run(2 * limit + 1)
        length = np.zeros(played["reward"].shape[1], np.int64)
        for ended, active in zip(played["terminated"] | played["truncated"], played["active"], strict=True):
            length += acts
            late = (length >= limit) & ~ended
            assert not late.any(), f"an episode of row {late.argmax()} goes on after {limit} steps, its time limit"
            length[ended | ~active] = 0
            acts = active

    # --- the rest of its life ---

    def test_send_and_recv_are_a_step(self) -> None:
        _same(self._played(), self._played(overlapped=True), "send and recv give another trajectory than step")

    def test_a_snapshot_brings_everything_back(self) -> None:
        with self._player() as player, self._player() as other:
            player.reset(seed=0)
            player.run(self.steps // 2)
            if not player.env.spec.snapshot:
                with pytest.raises(UnsupportedError):
                    player.env.snapshot()
                return
            state = _copied(player.env.snapshot())
            generators = [rng.bit_generator.state for rng in player.rngs]
            seen = {name: array[player.slot].copy() for name, array in player.buffers.arrays().items()}
            expected = player.run(self.steps)
            for name, restored in (("used", player), ("new", other)):
                for rng, generator in zip(restored.rngs, generators, strict=True):
                    rng.bit_generator.state = generator
                for buffer, array in restored.buffers.arrays().items():
                    array[restored.slot] = seen[buffer]
                restored.env.restore(_copied(state))
                played = restored.run(self.steps)
                _same(expected, played, f"restored into a {name} env, the snapshot plays differently")

    def test_closing_twice_is_harmless(self) -> None:
        env = self.make(1)
        Player(env).reset(seed=0)
        env.close()
        env.close()


def _filled(env: VectorEnv, byte: int) -> EnvBuffers:
    """Buffers full of one byte (flags: True for any but 0), but active."""
    buffers = EnvBuffers.allocate(env.spec, 4)
    for name, array in buffers.arrays().items():
        if name != "active":
            array.view(np.uint8)[...] = min(byte, 1) if array.dtype == np.bool_ else byte
    return buffers


def _same(one: Recorded, other: Recorded, otherwise: str) -> None:
    different = difference(one, other)
    assert not different, f"{otherwise}: {different}"


def _copied(state: Any, path: str = "") -> Any:
    """A deep copy that takes nothing but what a checkpoint can hold."""
    if isinstance(state, dict):
        assert all(isinstance(key, str) for key in state), f"the snapshot has a key that is no string at {path!r}"
        return {key: _copied(value, f"{path}/{key}") for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return state.copy()
    plain = state is None or isinstance(state, str | int | float | bool | list)
    assert plain, f"the snapshot holds {type(state).__name__} at {path!r}, expected arrays and JSON values"
    return state
