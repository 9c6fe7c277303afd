"""Processes side by side, and the signals that end them."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from puffer_core.errors import ResourceError
from puffer_core.run.processes import Job, Processes


class Heard:
    """What was told, in order; sends signals to this process when a job says so."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []
        self.running = self.most = self.ticks = 0

    def started(self, number: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)

    def said(self, number: int, line: str) -> None:
        self.events.append((number, line))
        if line.startswith("kill"):
            os.kill(os.getpid(), signal.Signals[line.split()[1]])

    def ended(self, number: int, code: int) -> None:
        self.running -= 1
        self.events.append((number, code))

    def tick(self) -> None:
        self.ticks += 1


def shell(number: int, script: str) -> Job:
    return Job(number, ["/bin/sh", "-c", script])


def run(jobs: list[Job], parallel: int = 2, **options: float) -> tuple[dict[int, int], Heard, Processes]:
    heard = Heard()
    processes = Processes(os.environ, heard, **options)
    return processes.run(jobs, parallel), heard, processes


def test_exit_codes_and_words_are_told() -> None:
    codes, heard, _ = run([shell(0, "echo out; echo err >&2"), shell(1, "exit 5"), shell(2, "kill -KILL $$")])
    assert codes == {0: 0, 1: 5, 2: 137}
    assert (0, "err") in heard.events
    assert heard.most <= 2
    assert not any("out" in event for event in heard.events)


def test_one_at_a_time_is_one_after_another() -> None:
    codes, heard, _ = run([shell(number, "true") for number in range(4)], parallel=1)
    assert list(codes) == [0, 1, 2, 3]
    assert heard.most == 1


def test_what_a_job_leaves_behind_does_not_hold_it_up() -> None:
    codes, heard, _ = run([shell(0, "sleep 300 & echo $! >&2")])
    assert codes == {0: 0}
    os.kill(int(str(heard.events[0][1])), signal.SIGKILL)


WAITS = "trap 'echo saved >&2; exit 143' TERM; trap 'exit 130' INT; echo kill {} >&2; while :; do sleep 0.05; done"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_asks_every_job_once_and_starts_no_other(name: str) -> None:
    before = signal.getsignal(signal.Signals[name])
    codes, heard, processes = run([shell(0, WAITS.format(name)), shell(1, "true")], parallel=1)
    assert codes == {0: 143}
    assert (0, "saved") in heard.events
    assert processes.signum == signal.Signals[name]
    assert signal.getsignal(signal.Signals[name]) == before


def test_a_second_interrupt_reaches_the_jobs_as_it_is() -> None:
    stubborn = (
        "trap 'echo kill SIGINT >&2' TERM; trap 'exit 130' INT; echo kill SIGINT >&2; while :; do sleep 0.05; done"
    )
    codes, _, _ = run([shell(0, stubborn)])
    assert codes == {0: 130}


def test_ctrl_c_in_a_terminal_is_not_heard_twice() -> None:
    codes, _, _ = run([Job(0, [sys.executable, "-c", "import os, sys; sys.exit(os.getpgrp() != os.getpid())"])])
    assert codes == {0: 0}


def test_time_goes_by_while_they_run() -> None:
    _, heard, _ = run([shell(0, "sleep 0.2")], seconds_a_tick=0.01)
    assert heard.ticks >= 2


def test_a_program_that_is_not_there_ends_those_that_run() -> None:
    with pytest.raises(ResourceError, match="cannot be started"):
        run([shell(0, "while :; do sleep 0.05; done"), Job(1, ["/no/such/program"])])
