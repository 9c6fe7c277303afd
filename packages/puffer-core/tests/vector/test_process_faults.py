"""What process mode does when a worker dies, hangs or raises. The whole matrix of faults is in tests/faults."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import EnvError, UsageError
from puffer_core.vector import crew as crews
from puffer_core.vector import environment_seed
from puffer_core.vector.forkserver import fork_server
from puffer_core.vector.seeding import restart_seed
from puffer_testing.playing import Player, difference
from puffer_testing.processes import is_alive, within

CHAOS = "puffer_testing.chaos:ChaosEnv"


def bound(env: Any, slots: int = 4, *, is_shared: bool = True) -> EnvBuffers:
    buffers = EnvBuffers.allocate(env.spec, slots, env.allocate if is_shared else np.zeros)
    env.bind(buffers)
    return buffers


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    within(10.0, lambda: not is_alive(pid))


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_killed_worker_loses_one_transition_of_its_rows_alone(
    make_env: Any, capfd: pytest.CaptureFixture[str], is_shared: bool
) -> None:
    env, undisturbed = make_env("Walk", workers=1), make_env("Walk", mode="serial")
    slots, expected = bound(env, is_shared=is_shared), EnvBuffers.allocate(undisturbed.spec, 4)
    undisturbed.bind(expected)
    for each in (env, undisturbed):
        each.reset(3)
        each.step(np.zeros(4, np.int64), 1)
    first = slots.observation[0].copy()
    killed(env.pids[0])
    for each in (env, undisturbed):
        each.step(np.zeros(4, np.int64), 2)
    assert slots.active.tolist() == [[True] * 4, [True, True, False, False], [True] * 4, [True] * 4]
    assert slots.reward[2, 2:].tolist() == [0, 0]
    assert not slots.terminated[2, 2:].any()
    assert not slots.truncated[2, 2:].any()
    assert np.array_equal(slots.observation[0], first), "slot 0 is the beginning of the rollout, and must stay"
    assert np.array_equal(slots.observation[:3, :2], expected.observation[:3, :2])
    begun = np.random.Generator(np.random.PCG64(environment_seed(restart_seed(3, 1), 2))).normal(size=2)
    assert np.array_equal(slots.observation[2, 2], begun.astype(np.float32))
    assert env.metrics() == {"env/restarts": 1.0, "env/lost_transitions": 2.0}
    assert env.metrics() == {"env/restarts": 0.0, "env/lost_transitions": 0.0}
    assert (
        "walk: worker 1 (environments 2 to 3) was killed by SIGKILL in step; it is replaced" in capfd.readouterr().err
    )


def test_the_mark_of_a_lost_transition_goes_when_its_slot_is_written_again(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    slots = bound(env, 3)
    env.reset(0)
    env.step(np.zeros(4, np.int64), 1)
    killed(env.pids[0])
    env.step(np.zeros(4, np.int64), 2)
    assert not slots.active[1, 2:].any()
    slots.wrap()
    env.step(np.zeros(4, np.int64), 1)
    env.step(np.zeros(4, np.int64), 2)
    assert slots.active.all()
    killed(env.pids[0])
    env.step(np.zeros(4, np.int64), 1)
    assert not slots.active[0, 2:].any()
    env.reset(0)
    assert slots.active.all()


def test_workers_that_died_before_a_reset_are_replaced(make_env: Any) -> None:
    env = make_env("Walk", workers=2, isolate=True)
    slots = bound(env)
    expected = Player(make_env("Walk", mode="serial"))
    start = expected.reset(restart_seed(3, 1))["observation"][0]
    for pid in env.pids:
        killed(pid)
    env.reset(3)
    assert np.array_equal(slots.observation[0], start)
    assert slots.active.all()
    assert env.metrics() == {"env/restarts": 2.0, "env/lost_transitions": 0.0}


def test_a_reset_seeds_as_if_nothing_had_happened(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    slots = bound(env)
    env.reset(3)
    first = slots.observation[0].copy()
    killed(env.pids[0])
    env.step(np.zeros(4, np.int64), 1)
    env.reset(3)
    assert np.array_equal(slots.observation[0], first)


def test_a_worker_that_dies_three_times_in_a_row_is_not_replaced(make_env: Any) -> None:
    env = make_env(CHAOS, {"fault": "os-exit", "step": 1}, workers=1, isolate=True)
    bound(env)
    env.reset(0)
    for _ in range(2):
        env.step(np.zeros(4, np.int64), 1)
    with pytest.raises(EnvError, match=r"exited with code 7 in step of environment 0, seed \d+, the third") as caught:
        env.step(np.zeros(4, np.int64), 1)
    assert caught.value.exit_code == 5
    assert env.metrics()["env/restarts"] == 2.0


def test_the_budget_of_restarts_ends(make_env: Any) -> None:
    env = make_env("Walk", workers=1, restarts=1)
    bound(env)
    env.reset(0)
    killed(env.pids[0])
    env.step(np.zeros(4, np.int64), 1)
    killed(env.pids[0])
    with pytest.raises(EnvError, match="may be restarted 1 times in all") as caught:
        env.step(np.zeros(4, np.int64), 2)
    assert "--vector.restarts" in caught.value.remedy


def test_a_crash_comes_with_its_stack(make_env: Any, capfd: pytest.CaptureFixture[str]) -> None:
    seed = environment_seed(0, 3)
    env = make_env(CHAOS, {"fault": "segfault", "step": 1, "seed": seed}, workers=1)
    slots = bound(env)
    env.reset(0)
    env.step(np.zeros(4, np.int64), 1)
    told = capfd.readouterr().err
    assert f"was killed by SIGSEGV in step of environment 3, seed {seed}; it is replaced" in told
    assert "in chaos_segfaults" in told
    assert "worker.py" not in told, "our own frames say nothing to the reader"
    assert slots.active[0].tolist() == [True, True, False, False]


def test_a_step_that_takes_too_long_is_ended_with_its_stack(make_env: Any, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"fault": "loop", "step": 1, "episode": 0, "seed": environment_seed(0, 1)}
    env = make_env(CHAOS, options, workers=1, isolate=True, timeout=0.3)
    bound(env)
    env.reset(0)
    env.step(np.zeros(4, np.int64), 1)
    told = capfd.readouterr().err
    assert "took longer than 0.3 s and was killed in step of environment 1" in told
    assert "in chaos_loops" in told


def test_what_an_env_raises_is_told_as_in_serial_mode(make_env: Any) -> None:
    seed = environment_seed(0, 3)
    options = {"fault": "raise", "step": 1, "seed": seed}
    texts = []
    for vector in ({"mode": "serial"}, {"workers": 1}):
        env = make_env(CHAOS, options, **vector)
        env.bind(EnvBuffers.allocate(env.spec, 3))
        env.reset(0)
        with pytest.raises(EnvError) as caught:
            env.step(np.zeros(4, np.int64), 1)
        texts.append(str(caught.value))
    assert f"environment 3 of 4 failed in step, seed {seed}: RuntimeError: chaos was asked for" in texts[0]
    assert texts[0] == texts[1]
    assert "in chaos_raises" in str(caught.value.__cause__)


def test_after_an_error_a_reset_makes_a_new_beginning(make_env: Any) -> None:
    env = make_env("Remembering", num_envs=4, workers=1)
    expected = Player(env, buffers=EnvBuffers.allocate(env.spec, 4, env.allocate))
    start = expected.reset(1)
    with pytest.raises(EnvError, match="environments 2 to 3 failed in step: ValueError: an action is greater than 1"):
        env.step(np.array([0, 0, 0, 0, 0, 0, 0, 5]), 1)
    assert difference(start, expected.reset(1)) == ""
    env.step(np.zeros(8, np.int64), 1)


def test_the_main_share_raising_leaves_the_workers_in_step(make_env: Any) -> None:
    env = make_env("Remembering", num_envs=4, workers=1)
    player = Player(env, buffers=EnvBuffers.allocate(env.spec, 4, env.allocate))
    player.reset(1)
    with pytest.raises(EnvError, match="environments 0 to 1 failed in step: ValueError: an action is greater than 1"):
        env.step(np.array([5, 0, 0, 0, 0, 0, 0, 0]), 1)
    player.reset(1)
    env.step(np.zeros(8, np.int64), 1)


@pytest.mark.parametrize("row", [0, 7], ids=["the main process", "a worker"])
def test_a_step_that_failed_is_over(make_env: Any, row: int) -> None:
    env = make_env("Remembering", num_envs=4, workers=1)
    Player(env, buffers=EnvBuffers.allocate(env.spec, 4, env.allocate)).reset(1)
    env.send(np.where(np.arange(8) == row, 5, 0), 1)
    with pytest.raises(EnvError, match="an action is greater than 1"):
        env.recv()
    with pytest.raises(UsageError, match="recv without a send"):
        env.recv()
    env.step(np.zeros(8, np.int64), 1)
    assert env.metrics()["env/restarts"] == 0.0


def test_the_main_share_cannot_end_the_run(make_env: Any) -> None:
    env = make_env("Remembering", num_envs=4, workers=1)
    Player(env, buffers=EnvBuffers.allocate(env.spec, 4, env.allocate)).reset(1)
    with pytest.raises(EnvError, match="environments 0 to 1 failed in step: SystemExit"):
        env.step(np.full(8, 7), 1)


def test_after_an_interrupted_step_a_reset_makes_a_new_beginning(make_env: Any) -> None:
    env = make_env("Remembering", num_envs=4, workers=1)
    slots = bound(env)

    def begun() -> np.ndarray:
        env.reset(1)
        env.step(np.zeros(8, np.int64), 1)
        return slots.observation[:2].copy()

    expected = begun()
    with pytest.raises(KeyboardInterrupt):
        env.step(np.where(np.arange(8) == 0, 8, 0), 1)
    with pytest.raises(UsageError, match="recv without a send"):
        env.recv()
    with pytest.raises(UsageError, match="under way; recv it, or reset"):
        env.step(np.zeros(8, np.int64), 1)
    assert np.array_equal(begun(), expected)


def test_a_state_is_given_in_spite_of_a_death(make_env: Any) -> None:
    env = make_env("Remembering", num_envs=3, workers=1)
    player = Player(env, buffers=EnvBuffers.allocate(env.spec, 4, env.allocate))
    player.reset(0)
    player.run(2)
    killed(env.pids[0])
    state = env.snapshot()
    assert state["restarts"] == [1]
    killed(env.pids[0])
    env.restore(state)
    expected = player.run(3)["reward"]
    assert expected.shape == (3, 6)


def test_a_picture_is_given_in_spite_of_a_death(make_env: Any) -> None:
    env = make_env("Pictured", workers=1, isolate=True)
    bound(env)
    env.reset(0)
    killed(env.pids[0])
    assert not env.render().any()


def test_a_death_before_the_first_step_loses_no_transition(make_env: Any) -> None:
    env = make_env("Kept", workers=1)
    slots = bound(env)
    env.reset(0)
    killed(env.pids[0])
    env.snapshot()
    assert slots.active.all()
    assert env.metrics() == {"env/restarts": 1.0, "env/lost_transitions": 0.0}


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("asked", ["render", "snapshot"])
def test_a_death_between_two_steps_loses_the_one_that_led_there(make_env: Any, asked: str, is_shared: bool) -> None:
    env = make_env("KeptPicture", workers=2, isolate=True)
    slots = bound(env, is_shared=is_shared)
    env.reset(0)
    for slot in (1, 2, 3):
        env.step(np.zeros(4, np.int64), slot)
    was = slots.observation[3].copy()
    killed(env.pids[0])
    getattr(env, asked)()
    assert slots.active.tolist() == [[True] * 4, [True] * 4, [False, False, True, True], [True] * 4]
    assert (slots.observation[3] == was).all(axis=1).tolist() == [False, False, True, True]
    assert slots.reward[3, :2].tolist() == [0, 0]
    env.step(np.zeros(4, np.int64), 1)
    assert slots.active[0].all()


def test_a_death_before_a_restore_loses_no_transition(make_env: Any) -> None:
    env = make_env("Kept", workers=1)
    slots = bound(env)
    env.reset(0)
    state = env.snapshot()
    killed(env.pids[0])
    env.restore(state)
    env.step(np.zeros(4, np.int64), 1)
    assert slots.active.all()
    assert env.metrics()["env/lost_transitions"] == 0.0


def test_after_a_restore_a_replacement_begins_in_the_last_slot(make_env: Any) -> None:
    env = make_env("Kept", workers=1)
    slots = bound(env)
    env.reset(0)
    env.restore(env.snapshot())
    first = slots.observation[0].copy()
    killed(env.pids[0])
    env.snapshot()
    assert np.array_equal(slots.observation[0], first)
    assert slots.observation[3, 2:].any()


def test_the_death_of_the_fork_server_costs_a_transition(make_env: Any, capfd: pytest.CaptureFixture[str]) -> None:
    env = make_env("Walk", workers=2, isolate=True)
    slots = bound(env)
    env.reset(0)
    os.kill(fork_server("process_envs").pid, signal.SIGKILL)
    pids = env.pids
    within(10.0, lambda: not any(map(is_alive, pids)))
    env.step(np.zeros(4, np.int64), 1)
    assert not slots.active[0].any()
    assert "died with the fork server" in capfd.readouterr().err
    env.step(np.zeros(4, np.int64), 2)
    assert slots.active[1].all()


def test_making_environments_is_tried_again(make_env: Any, tmp_path: Path) -> None:
    options = {"fault": "os-exit", "phase": "init", "times": 2, "marker": str(tmp_path / "made")}
    env = make_env(CHAOS, options, workers=1, isolate=True)
    assert env.metrics()["env/restarts"] == 2.0


def test_making_environments_is_not_tried_for_ever(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "STARTUP_SECONDS", 0.2)
    with pytest.raises(EnvError, match=r"took longer than 0\.2 s and was killed in init, the third"):
        make_env(CHAOS, {"fault": "sleep", "phase": "init"}, workers=1, isolate=True, timeout=0.2)


@pytest.mark.parametrize("fault", ["sleep", "os-exit"])
def test_closing_waits_for_nobody(make_env: Any, fault: str) -> None:
    env = make_env(CHAOS, {"fault": fault, "phase": "close"}, workers=2, isolate=True)
    bound(env)
    pids = env.pids
    env.reset(0)
    env.close()
    assert not any(map(is_alive, pids))


def test_an_error_of_close_is_told_after_everything_is_closed(make_env: Any) -> None:
    env = make_env(CHAOS, {"fault": "raise", "phase": "close", "times": 1}, workers=1, isolate=True)
    bound(env)
    pids = env.pids
    with pytest.raises(EnvError, match="failed in close"):
        env.close()
    assert not any(map(is_alive, pids))
    env.close()
