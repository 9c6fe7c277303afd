"""ChaosEnv: pairing can be proven, and each fault happens for real, in its place, as often as told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core import UsageError
from puffer_testing import ChaosDictEnv, ChaosEnv, EnvConformance, chaos_outcome
from puffer_testing.faults import ACTS, DIE, HANG, LITTER, OBSERVATIONS, OUTCOMES, RAISE


class TestChaosEnv(EnvConformance):
    id = "py:puffer_testing.chaos:ChaosEnv"
    steps = 50


def test_reward_and_flags_follow_from_the_observation_for_whole_episodes() -> None:
    env = ChaosEnv(length=7)
    env.reset(seed=11)
    ended = 0
    for action in [0, 1, 2, 3] * 20:
        observation, reward, terminated, truncated, _ = env.step(action)
        assert (reward, terminated, truncated) == chaos_outcome(observation, length=7)
        assert observation[0] == 11
        assert observation[1] == ended
        assert observation[3] == 1 + action
        if terminated or truncated:
            ended += 1
            assert env.reset()[0].tolist() == [11, ended, 0, 0]
    assert ended > 10


def test_every_part_of_a_nested_observation_carries_the_step() -> None:
    env = ChaosDictEnv()
    env.reset(seed=2)
    observation = env.step(1)[0]
    assert env.observation_space.contains(observation)
    assert observation["numbers"][2] == observation["clock"]["step"] == observation["picture"][0, 0] == 1


@pytest.mark.parametrize("fault", RAISE)
@pytest.mark.parametrize("phase", ["init", "reset", "step", "close"])
def test_it_raises_in_the_phase_it_is_told(fault: str, phase: str) -> None:
    with pytest.raises((Exception, SystemExit, KeyboardInterrupt)):
        _live(fault=fault, phase=phase)


@pytest.mark.parametrize("fault", DIE)
def test_it_ends_its_process(fault: str) -> None:
    code = f"import puffer_testing.faults as f; f.ACTS[{fault!r}](); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "alive" not in done.stdout


@pytest.mark.parametrize("fault", HANG)
def test_it_never_returns(fault: str) -> None:
    code = f"import puffer_testing.faults as f; print('begun', flush=True); f.ACTS[{fault!r}](); print('alive')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.kill()
        assert process.stdout.read() == ""


@pytest.mark.parametrize("fault", OBSERVATIONS)
@pytest.mark.parametrize("make", [ChaosEnv, ChaosDictEnv])
def test_wrong_observations_are_outside_their_space(make: type[ChaosEnv], fault: str) -> None:
    for phase in ("reset", "step"):
        env = make(fault=fault, phase=phase)
        observation = env.reset(seed=0)[0] if phase == "reset" else (env.reset(seed=0), env.step(0))[1][0]
        assert _odd(env, observation)


@pytest.mark.parametrize("fault", OUTCOMES)
def test_odd_outcomes_stand_in_the_right_ones_place(fault: str) -> None:
    env = ChaosEnv(fault=fault)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(0)
    assert {"reward": reward, "info": info}[fault.partition("-")[0]] is next(iter(OUTCOMES[fault].values()))


def test_it_fails_in_its_place_alone() -> None:
    env = ChaosEnv(fault="raise", seed=5, episode=1, step=2)
    for seed in (4, 5):
        env.reset(seed=seed)
        env.step(0), env.step(0)
    env.reset()
    env.step(0)
    with pytest.raises(RuntimeError, match="chaos was asked for"):
        env.step(0)


def test_a_number_of_times_counts_over_instances_where_there_is_a_marker(tmp_path: Path) -> None:
    marker = str(tmp_path / "marker")
    failed = 0
    for _ in range(5):
        try:
            ChaosEnv(fault="raise", phase="init", times=2, marker=marker)
        except RuntimeError:
            failed += 1
    assert failed == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marker.0", "marker.1"]
    assert (tmp_path / "marker.1").read_text().split()[0] == str(os.getpid())


def test_without_a_marker_each_env_counts_for_itself() -> None:
    for _ in range(2):
        env = ChaosEnv(fault="raise", phase="close", times=1)
        with pytest.raises(RuntimeError):
            env.close()
        env.close()


def test_litter_is_left_behind(tmp_path: Path) -> None:
    code = "import puffer_testing.faults as f, os, signal; f.ACTS['chdir'](); print(os.getcwd()); f.ACTS['print']();"
    code += "f.ACTS['handlers'](); print(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, flush=True);"
    code += "file = open(os.devnull); f.ACTS['close-files'](); f.ACTS['no-streams'](); print('lost'); os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
    )
    directory, prints, writes, ignored = done.stdout.splitlines()
    assert (prints, writes, ignored) == ("chaos prints", "chaos writes to descriptor 1", "True")
    assert directory != str(tmp_path)


def test_the_groups_name_every_act() -> None:
    assert sorted([*RAISE, *DIE, *HANG, *LITTER]) == sorted(ACTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fault": "explode"}, "fault is 'explode', which step does not have"),
        ({"fault": "nan", "phase": "close"}, "fault is 'nan', which close does not have"),
        ({"phase": "stp"}, "phase is 'stp'\nDid you mean step?"),
    ],
)
def test_an_unknown_fault_or_phase_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ChaosEnv(**options)


def test_a_step_costs_the_cpu_time_it_is_told() -> None:
    import time

    env = ChaosEnv(cost_us=2000.0)
    env.reset(seed=0)
    start = time.thread_time()
    env.step(0)
    assert time.thread_time() - start >= 0.002


def _live(**options: Any) -> None:
    env = ChaosEnv(**options)
    env.reset(seed=0)
    env.step(0)
    env.close()


def _odd(env: ChaosEnv, observation: Any) -> bool:
    space: Any = env.observation_space
    if isinstance(observation, dict) and "numbers" in observation and len(observation) == 3:
        return _odd(ChaosEnv(), observation["numbers"])
    if not isinstance(observation, np.ndarray):
        return not isinstance(observation, dict) or set(observation) != set(getattr(space, "spaces", ()))
    return not space.contains(observation) or bool(np.isnan(observation).any())
