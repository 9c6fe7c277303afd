"""Process mode gives, row by row and bit by bit, what one process would have given."""

from __future__ import annotations

import gc
import os
import resource
import signal
from typing import Any

import numpy as np
import pytest

from puffer_core.checkpoints.statefile import decode, encode
from puffer_core.contracts.env import CountingEnv, EnvBuffers
from puffer_core.errors import CheckpointError, EnvError, ResourceError, ShapeError, UnsupportedError, UsageError
from puffer_core.vector import ProcessVectorEnv
from puffer_core.vector.forkserver import fork_server
from puffer_core.vector.memory import locate
from puffer_testing.env import EnvConformance
from puffer_testing.playing import Player, difference
from puffer_testing.processes import is_alive, open_files, within

STEPS = 40


def played(env: Any, steps: int = STEPS, **how: Any) -> Any:
    player = Player(env, **how)
    start = player.reset(seed=3)
    return {name: np.concatenate([start[name], array]) for name, array in player.run(steps).items()}


def shared(env: Any, slots: int = 4) -> EnvBuffers:
    return EnvBuffers.allocate(env.spec, slots, env.allocate)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "Walk", "Nested", "Masked", "Several", "Telling"])
@pytest.mark.parametrize(
    ("num_envs", "workers", "isolate"), [(2, 1, False), (5, 2, False), (5, 3, True), (3, 1, True), (4, 3, False)]
)
def test_rows_are_those_of_serial_mode(make_env: Any, name: str, num_envs: int, workers: int, isolate: bool) -> None:
    expected = played(make_env(name, mode="serial", num_envs=num_envs))
    env = make_env(name, num_envs=num_envs, workers=workers, isolate=isolate)
    assert (len(env.pids), os.getpid() in env.pids) == (workers, False)
    assert difference(expected, played(env, buffers=shared(env))) == ""


@pytest.mark.parametrize("name", ["Remembering", "puffer_env_native.cartpole:CartPole.batch"])
@pytest.mark.parametrize(("workers", "isolate"), [(1, False), (2, False), (3, True)])
def test_batches_of_their_own_play_the_same_in_parts(make_env: Any, name: str, workers: int, isolate: bool) -> None:
    if name != "Remembering":
        pytest.importorskip("puffer_env_native")
    expected = played(make_env(name, mode="native", num_envs=5))
    env = make_env(name, num_envs=5, workers=workers, isolate=isolate)
    assert difference(expected, played(env, buffers=shared(env))) == ""


@pytest.mark.parametrize("isolate", [False, True])
def test_buffers_that_are_not_shared_are_written_too(make_env: Any, isolate: bool) -> None:
    expected = played(make_env("Nested", mode="serial"))
    env = make_env("Nested", workers=2, isolate=isolate)
    assert difference(expected, played(env)) == ""


def test_send_and_recv_are_a_step(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    expected = played(make_env("Walk", mode="serial"))
    assert difference(expected, played(env, buffers=shared(env), overlapped=True)) == ""


def test_halves_of_a_batch_play_what_the_whole_would(make_env: Any) -> None:
    whole = make_env("Walk", mode="serial", num_envs=4)
    halves = [make_env("Walk", num_envs=2, workers=1, batches=2) for _ in range(2)]
    expected, slots = EnvBuffers.allocate(whole.spec, 3), shared(whole_of(halves), 3)
    whole.bind(expected)
    whole.reset(5)
    for first, half in zip((0, 2), halves, strict=True):
        part = slice(first, first + 2)
        half.bind(slots.part(part, part))
        half.reset(5, first)
    for slot in (1, 2):
        actions = np.array([0, 1, -1, 1])
        whole.step(actions, slot)
        for half, own in zip(halves, np.split(actions, 2), strict=True):
            half.send(own, slot)
        for half in halves:
            half.recv()
    assert np.array_equal(expected.observation, slots.observation)
    assert np.array_equal(expected.reward, slots.reward)


def whole_of(halves: list[Any]) -> Any:
    """Something with the spec of all rows, for its buffers."""
    from dataclasses import replace
    from types import SimpleNamespace

    spec = halves[0].spec
    rows = np.arange(4, dtype=np.int64)
    return SimpleNamespace(
        spec=replace(spec, num_envs=4, row_env=rows, row_group=np.zeros_like(rows)), allocate=halves[0].allocate
    )


def test_other_buffers_can_be_bound_later(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    first, second = shared(env), shared(env, 3)
    env.bind(first)
    env.reset(0)
    env.bind(second)
    env.reset(0)
    env.step(np.zeros(4, np.int64), 2)
    assert np.array_equal(first.observation[0], second.observation[0])
    assert not first.observation[2].any()
    assert second.observation[2].all()


def test_infos_come_as_plain_values_with_their_rows(make_env: Any) -> None:
    env = make_env("Telling", workers=1, num_envs=4)
    env.bind(shared(env))
    env.reset(1)
    seen: dict[int, Any] = {}
    for step in range(20):
        for row, info in env.step(np.zeros(4, np.int64), 1 + step % 3):
            seen.setdefault(row, {}).update(info)
    assert seen.keys() == {0, 1, 2, 3}
    assert seen[3]["array"] == [0, 1, 2]
    assert seen[3]["lock"].startswith("<unlocked _thread.lock")
    assert np.isnan(seen[3]["5"])
    assert len(seen[3]["much"]) == 300_000
    assert (seen[3]["pid"], seen[0]["pid"]) == (env.pids[0], os.getpid())


def test_workers_draw_from_generators_of_their_own(make_env: Any) -> None:
    first = played(make_env("Global", workers=2, isolate=True), 1)["observation"][0]
    again = played(make_env("Global", workers=2, isolate=True), 1)["observation"][0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[2])


# --- how it is made ---


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        ({"num_envs": 4, "workers": 4}, "4 workers and the main process are more than the 4 environments"),
        ({"num_envs": 4, "workers": 9, "isolate": True}, "9 workers are more than the 4 environments"),
    ],
)
def test_more_workers_than_environments_are_refused(make_env: Any, vector: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        make_env("Walk", **vector)
    assert "--vector.workers" in caught.value.remedy
    assert caught.value.exit_code == 2


def test_isolated_environments_are_kept_out_of_this_process(make_env: Any) -> None:
    env = make_env("Telling", mode="auto", isolate=True, num_envs=2, workers=1)
    assert isinstance(env, ProcessVectorEnv)
    env.bind(shared(env))
    env.reset(1)
    pids = {info.get("pid") for _ in range(7) for _, info in env.step(np.zeros(2, np.int64), 1)}
    assert os.getpid() not in pids
    assert env.pids[0] in pids


def test_environments_that_differ_are_refused(make_env: Any) -> None:
    with pytest.raises(EnvError, match="observation"):
        make_env("Different", workers=1)


def test_options_must_be_told_as_json(make_env: Any) -> None:
    with pytest.raises(UsageError, match=r"options cannot be told to workers: .*complex"):
        make_env("Remembering", {"start": 1j}, workers=1)


def test_the_running_program_cannot_be_imported(make_env: Any) -> None:
    import sys

    sys.modules["__main__"].Walk = __import__("process_envs").Walk  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="workers cannot import __main__:Walk"):
        make_env("__main__:Walk", workers=1)


def test_what_no_worker_can_import_is_an_env_error(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("made_up_here")
    module.Walk = __import__("process_envs").Walk  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_here", module)
    with pytest.raises(EnvError, match="No module named 'made_up_here'"):
        make_env("made_up_here:Walk", workers=1)


# --- what it refuses, and how it ends ---


def test_misuse_is_named(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    action = np.zeros(4, np.int64)
    with pytest.raises(UsageError, match="before bind"):
        env.reset(0)
    with pytest.raises(ShapeError, match="has 4 rows, the buffers have 3"):
        env.bind(EnvBuffers.allocate(make_env("Walk", mode="serial", num_envs=3).spec, 3))
    env.bind(shared(env, 3))
    env.reset(0)
    with pytest.raises(UsageError, match="recv without a send"):
        env.recv()
    with pytest.raises(ShapeError, match=r"slot is 3, expected 1\.\.2"):
        env.step(action, 3)
    with pytest.raises(ShapeError, match=r"got actions float64 \(4,\), expected int64"):
        env.step(action.astype(np.float64), 1)
    with pytest.raises(ShapeError, match=r"got actions int64 \(3,\)"):
        env.step(action[:3], 1)
    env.send(action, 1)
    with pytest.raises(UsageError, match="under way"):
        env.send(action, 2)
    env.recv()
    env.close()
    env.close()
    for call in (lambda: env.step(action, 1), lambda: env.reset(0), lambda: env.bind(shared(env)), env.recv):
        with pytest.raises(UsageError, match="close"):
            call()


def test_a_reset_drops_the_step_that_is_under_way(make_env: Any) -> None:
    env = make_env("Walk", workers=2, isolate=True)
    expected = played(make_env("Walk", mode="serial"))
    slots = shared(env)
    env.bind(slots)
    env.reset(0)
    env.send(np.zeros(4, np.int64), 1)
    assert difference(expected, played(env, buffers=slots)) == ""


def test_the_state_comes_back(make_env: Any) -> None:
    env = make_env("Remembering", num_envs=3, workers=1)
    player = Player(env, buffers=shared(env))
    player.reset(0)
    player.run(5)
    state, generators = env.snapshot(), [rng.bit_generator.state for rng in player.rngs]
    expected = player.run(4)
    for rng, generator in zip(player.rngs, generators, strict=True):
        rng.bit_generator.state = generator
    env.restore(state)
    assert np.array_equal(expected["reward"], player.run(4)["reward"])
    other = make_env("Remembering", num_envs=3, workers=2)
    Player(other, buffers=shared(other)).reset(0)
    with pytest.raises(CheckpointError, match=r"shares of \[1, 2\] environments, here they have \[1, 1, 1\]"):
        other.restore(state)


def player_of(env: Any) -> Player:
    return Player(env, buffers=EnvBuffers.allocate(env.spec, 4, getattr(env, "allocate", np.zeros)))


def seen_after(env: Any, state: Any) -> Any:
    """What is played from a state on."""
    player = player_of(env)
    env.restore(decode(encode(state)))
    return player.run(20)


WAYS = [("serial", 0), ("process", 1), ("process", 2)]


@pytest.mark.parametrize("name", ["Kept", "process_envs:limited_walk", "puffer_env_native.cartpole:CartPole.batch"])
def test_a_state_does_not_depend_on_how_rows_are_shared_out(make_env: Any, name: str) -> None:
    ways = [(mode.replace("serial", "native") if "native" in name else mode, workers) for mode, workers in WAYS]
    played = []
    for mode, workers in ways:
        env = make_env(name, num_envs=5, mode=mode, workers=workers)
        player = player_of(env)
        player.reset(3)
        player.run(8)
        state = env.snapshot()
        for other, parts in ways:
            played.append(seen_after(make_env(name, num_envs=5, mode=other, workers=parts), state))
    for each in played[1:]:
        assert not difference(played[0], each)


def test_a_replacement_after_a_restore_is_seeded_as_before(make_env: Any) -> None:
    env = make_env("Kept", num_envs=4, workers=1)
    player_of(env).reset(3)
    state = env.snapshot()
    other = make_env("Kept", num_envs=4, workers=1)
    played = []
    for each in (env, other):
        again = player_of(each)
        each.restore(state)
        os.kill(each.pids[0], signal.SIGKILL)
        played.append(again.run(10))
    assert not difference(*played)


def test_a_state_that_is_not_taken_back_is_told_by_the_worker(make_env: Any) -> None:
    env = make_env("Stubborn", num_envs=2, workers=2, isolate=True)
    Player(env, buffers=shared(env)).reset(0)
    with pytest.raises(CheckpointError, match=r"environment [01]: set_state of Stubborn refused it"):
        env.restore(env.snapshot())


def test_without_a_state_there_is_no_snapshot(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    Player(env, buffers=shared(env)).reset(0)
    with pytest.raises(UnsupportedError):
        env.snapshot()
    with pytest.raises(UnsupportedError):
        env.restore({})


@pytest.mark.parametrize("isolate", [False, True])
def test_pictures_are_of_environment_0(make_env: Any, isolate: bool) -> None:
    env = make_env("Pictured", workers=1, isolate=isolate)
    env.bind(shared(env))
    env.reset(0)
    env.step(np.zeros(4, np.int64), 1)
    assert env.render().shape == (2, 3, 3)
    assert env.render().max() <= 1


@pytest.mark.parametrize("isolate", [False, True])
def test_an_env_without_pictures_says_so(make_env: Any, isolate: bool) -> None:
    env = make_env("Remembering", workers=1, isolate=isolate)
    env.bind(shared(env))
    env.reset(0)
    with pytest.raises(UnsupportedError, match="gives no picture"):
        env.render()


def test_making_and_closing_leaves_nothing_behind(make_env: Any) -> None:
    def once() -> list[int]:
        env = make_env("Walk", workers=2)
        pids = env.pids
        played(env, 1, buffers=shared(env))
        env.close()
        return pids

    once()
    gc.collect()
    before = open_files()
    pids = [pid for _ in range(5) for pid in once()]
    gc.collect()
    assert open_files() == before
    assert not any(map(is_alive, pids))


def test_too_few_files_are_told_and_nothing_is_left_open(make_env: Any) -> None:
    make_env("Walk", workers=1).close()  # the fork server is there
    gc.collect()
    before, limits = open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    refused = 0
    for spare in range(0, 12, 2):
        held = [os.dup(0) for _ in range(30)]  # no number below is free then
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1 + spare, limits[1]))
        try:
            make_env("Walk", workers=2).close()
        except ResourceError:
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in held:
                os.close(fd)
        gc.collect()
        assert open_files() == before
    fork_server("process_envs").close()  # one that was started meanwhile would keep the limit
    assert refused > 1


def test_an_env_that_is_dropped_takes_its_workers_with_it(make_env: Any) -> None:
    from puffer_core.vector.recipe import Recipe
    from puffer_core.vector.shares import cores

    recipe = Recipe(name="walk", target="process_envs:Walk", interface="gymnasium", arguments={}, options={})
    env = ProcessVectorEnv(recipe, None, num_envs=2, workers=1)
    pids = env.pids
    assert cores() >= 1
    del env
    gc.collect()
    within(5.0, lambda: not any(map(is_alive, pids)))


def test_it_counts_restarts_and_allocates_shared_memory(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    assert isinstance(env, CountingEnv)
    assert env.metrics() == {"env/restarts": 0.0, "env/lost_transitions": 0.0}
    assert locate(shared(env).observation) is not None


class TestCartPoleInProcesses(EnvConformance):
    """Buffers of the suite are not shared: rows go through copies."""

    steps = 60

    @pytest.fixture(autouse=True)
    def _made(self, make_env: Any) -> None:
        self.make = lambda num_envs: make_env("CartPole-v1", num_envs=num_envs)  # type: ignore[method-assign]


class TestMaskedIsolated(EnvConformance):
    steps = 20

    @pytest.fixture(autouse=True)
    def _made(self, make_env: Any) -> None:
        self.make = lambda num_envs: make_env("Masked", num_envs=num_envs, isolate=True)  # type: ignore[method-assign]
