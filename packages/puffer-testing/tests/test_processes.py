"""Limits on time hold even where no handler runs, and processes are seen as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers
from puffer_core.vector import SerialVectorEnv
from puffer_testing import ChaosEnv
from puffer_testing.pairing import unpaired
from puffer_testing.processes import deadline, descendants, is_alive, open_files, within


def test_what_takes_too_long_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"not done within 0.05 s"), deadline(0.05):
        time.sleep(60)


def test_what_no_handler_can_stop_ends_with_its_stack() -> None:
    code = "import puffer_testing.processes as p, puffer_testing.faults as f\np._GRACE = 0.1\n"
    code += "with p.deadline(0.1): f.ACTS['c-loop']()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "chaos_loops_in_c" in done.stderr


def test_waiting_ends_when_it_is_so_or_fails() -> None:
    until = time.monotonic() + 0.01
    assert within(5.0, lambda: time.monotonic() > until) >= 0
    with pytest.raises(AssertionError, match=r"not so within 0.01 s"):
        within(0.01, lambda: False)


def test_a_child_is_a_descendant_until_it_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in descendants()
        child.kill()
        within(10.0, lambda: not is_alive(child.pid))
        assert child.pid not in descendants()


def test_open_files_are_counted() -> None:
    before = open_files()
    with open(os.devnull):  # noqa: PTH123
        assert open_files() == before + 1
    assert open_files() == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observation", 7.0, "came .7.0"),
        ("reward", 7.0, "came .7.0, False, False., expected"),
        ("terminated", True, "after"),
        ("active", False, "a lost step left"),
    ],
)
def test_a_row_that_mixes_two_steps_is_found(name: str, value: object, message: str) -> None:
    env = SerialVectorEnv(ChaosEnv, 3, id="chaos")
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(seed=0)
    action = np.array([1, 2, 3])
    env.step(action, 1)
    assert unpaired(buffers, 1, action) == ""
    getattr(buffers, name)[0 if name == "active" else 1, 1] = value
    wrong = unpaired(buffers, 1, action)
    assert wrong.startswith("row 1: ")
    assert re.search(message, wrong)


def test_an_episode_that_does_not_begin_anew_is_found() -> None:
    env = SerialVectorEnv(ChaosEnv, 1, id="chaos")
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(seed=0)
    action, ended = np.array([1]), False
    while not ended:
        env.step(action, 1)
        assert unpaired(buffers, 1, action) == ""
        ended = bool(buffers.terminated[1, 0])
        before = buffers.observation[0].copy()
        buffers.wrap()
    buffers.observation[0] = before
    buffers.observation[1, 0, 2] = 1
    assert "began" in unpaired(buffers, 1, action)
