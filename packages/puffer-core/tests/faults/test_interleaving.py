"""W6: whatever is done in whatever order, observation, reward and flags of a row are of one and the same step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from puffer_core.errors import UsageError
from puffer_testing.driving import Drive, chaos_vector_env
from puffer_testing.processes import deadline, is_alive, workers

VECTOR = {"mode": "process", "num_envs": 4, "timeout": 0.5, "restarts": 1000}


class Interleaving(RuleBasedStateMachine):
    """Commands of a user and faults of workers in any order; `Drive` proves each step that is received."""

    isolate: ClassVar[bool] = True
    done: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.vector = {**VECTOR, "workers": 2 if self.isolate else 1, "isolate": self.isolate}
        self.open()

    def open(self) -> None:
        self.drive = Drive(chaos_vector_env(self.vector))
        self.sent = False
        self.faults = 0  # since a step that lost nothing: after the third in a row a worker is given up, rightly

    def count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    @precondition(lambda self: not self.sent)
    @rule(number=st.integers(1, 12))
    def step(self, number: int) -> None:
        self.drive.steps(number)
        while self.drive.lost_rows:
            self.drive.steps()
        self.faults = 0
        self.count("step")

    @precondition(lambda self: not self.sent)
    @rule()
    def send(self) -> None:
        self.drive.send()
        self.sent = True
        self.count("send")

    @precondition(lambda self: self.sent)
    @rule()
    def recv(self) -> None:
        self.drive.recv()
        self.sent = False
        self.count("recv")

    @precondition(lambda self: not self.sent)
    @rule()
    def recv_without_send(self) -> None:
        with pytest.raises(UsageError):
            self.drive.env.recv()

    @precondition(lambda self: self.faults < 2)
    @rule(worker=st.integers(0, 1))
    def kill(self, worker: int) -> None:
        self.signal(worker, signal.SIGKILL)
        self.faults += 1
        self.count("kill")

    @precondition(lambda self: self.faults < 2)
    @rule(worker=st.integers(0, 1))
    def stop(self, worker: int) -> None:
        """The next step runs into its time limit."""
        self.signal(worker, signal.SIGSTOP)
        self.faults += 1
        self.count("timeout")

    @rule(worker=st.integers(0, 1))
    def wake(self, worker: int) -> None:
        """A worker that was stopped goes on, perhaps in the middle of a step that was given up."""
        self.signal(worker, signal.SIGCONT)

    @precondition(lambda self: not self.sent)
    @rule(seed=st.integers(0, 1000))
    def reset(self, seed: int) -> None:
        self.drive.reset(seed)
        self.count("reset")

    @rule()
    def reopen(self) -> None:
        """Close, perhaps with a step under way, and begin with another."""
        self.close()
        with pytest.raises(UsageError):
            self.drive.env.reset(0)
        self.open()
        self.count("close")

    def signal(self, worker: int, number: int) -> None:
        pids = workers(self.drive.env)
        with suppress(ProcessLookupError):
            os.kill(pids[worker % len(pids)], number)

    def close(self) -> None:
        pids = workers(self.drive.env)
        self.drive.env.close()
        self.drive.env.close()
        assert not [pid for pid in pids if is_alive(pid)]

    def teardown(self) -> None:
        self.close()


@pytest.mark.parametrize("isolate", [True, False], ids=["isolated", "shared"])
@pytest.mark.parametrize(("examples", "steps"), [(4, 12), pytest.param(30, 25, marks=pytest.mark.faults)])
def test_any_interleaving(isolate: bool, examples: int, steps: int, injecting: Callable[..., Any]) -> None:
    machine = type("Machine", (Interleaving,), {"isolate": isolate, "done": {}})
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    what = "any interleaving of step, send, recv, kill, stop, continue, reset, close"
    expected = "observation, reward and flags of a row always carry the same counter"
    with deadline(60 + 20 * examples), injecting("W6", what, expected) as row:
        run_state_machine_as_test(machine, settings=how)
        row.injected += machine.done["kill"] + machine.done["timeout"]
    if examples >= 30:
        assert {"step", "send", "recv", "kill", "timeout", "reset", "close"} <= set(machine.done)


@pytest.mark.parametrize("isolate", [True, False], ids=["isolated", "shared"])
def test_faults_while_a_step_is_under_way(isolate: bool) -> None:
    with deadline(60):
        drive = Drive(chaos_vector_env({**VECTOR, "workers": 2 if isolate else 1, "isolate": isolate}))
        for number in (signal.SIGKILL, signal.SIGSTOP):
            drive.send()
            os.kill(workers(drive.env)[-1], number)
            drive.recv()
            drive.steps(3)
        assert drive.lost in (2, 4)  # each fault hit before or after the step was done: then it costs the next one
        drive.send()
        os.kill(workers(drive.env)[-1], signal.SIGKILL)
        drive.reset(5)
        drive.steps(3)
        drive.send()
        drive.env.close()
        with pytest.raises(UsageError):
            drive.recv()
