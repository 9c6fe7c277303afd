"""W3, W4: everything that can go wrong inside an environment, in every phase: reported or survived, never a hang."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from puffer_core.vector import environment_seed
from puffer_testing.faults import ACTS, DIE, HANG, LITTER, RAISE

WAYS = {
    "raise": ("RuntimeError: chaos was asked for", "chaos_raises"),
    "unpicklable": ("RuntimeError", "chaos_raises_unpicklable"),
    "unprintable": ("UnprintableError", "chaos_raises_unprintable"),
    "memory": ("MemoryError: chaos asked for more", "chaos_runs_out_of_memory"),
    "recursion": ("RecursionError", "chaos_recurses"),
    "exit": ("SystemExit: 3", "chaos_exits"),
    "interrupt": ("KeyboardInterrupt", "chaos_interrupts"),
}
PHASES = ("init", "reset", "autoreset", "step", "close")
SHARED = {"mode": "process", "workers": 1, "timeout": 2.0, "restarts": 3}
ISOLATED = {**SHARED, "workers": 2, "isolate": True}
SERIAL = {"mode": "serial"}
SEED, VICTIM = 7, 2


def rounds(short_phase: str, short: list[str], full: list[str]) -> Any:
    """One short round, and every phase with every fault in the full one."""
    every = [pytest.param(phase, full, id=f"{phase}-all", marks=pytest.mark.faults) for phase in PHASES]
    return pytest.mark.parametrize(("phase", "faults"), [pytest.param(short_phase, short, id=short_phase), *every])


@pytest.fixture
def run_matrix(play: Callable[..., Any], tmp_path: Path, injecting: Callable[..., Any]) -> Callable[..., Any]:
    def run(vector: dict[str, Any], phase: str, faults: list[str], row: Any, seconds: float = 120) -> Any:
        marker = str(tmp_path / f"matrix-{len(list(tmp_path.iterdir()))}")
        scene = play("matrix", seconds, vector=vector, phase=phase, faults=faults, marker=marker)
        assert [case["fault"] for case in scene.lines] == faults, f"ended with {scene.status}: {scene.stderr[-3000:]}"
        for case in scene.lines:
            row.took(case["seconds"])
        return scene

    return run


def check_named(text: str, phase: str, fault: str) -> None:
    """Which environment, when, how it was seeded, and why, with the traceback's text."""
    assert phase.removeprefix("auto") in text, text
    if fault in WAYS:
        for words in WAYS[fault]:
            assert words in text, text
        assert "Traceback" in text, text
    if phase not in ("init", "close"):
        assert f"environment {VICTIM}" in text, text
        assert f"seed {environment_seed(SEED, VICTIM)}" in text, text


RAISED = "EnvError (exit 5) with the traceback; from reset to step it names environment and seed"


@rounds("step", [*RAISE[:-1]], [*RAISE[:-1]])  # not `interrupt`: there, that is the user's Ctrl-C
def test_serial_what_an_env_raises_is_reported(
    phase: str, faults: list[str], run_matrix: Callable[..., Any], injecting: Callable[..., Any]
) -> None:
    with injecting("W3", "serial: exceptions, SystemExit, MemoryError in every phase", RAISED) as row:
        scene = run_matrix(SERIAL, phase, faults, row)
        for case in scene.lines:
            assert case["outcome"] == "exit 5", case
            check_named(case["message"], phase, case["fault"])


@rounds("step", ["recursion", "exit", "interrupt"], [*RAISE])
@pytest.mark.parametrize("vector", [SHARED, ISOLATED], ids=["shared", "isolated"])
def test_process_what_an_env_raises_is_reported(
    phase: str,
    faults: list[str],
    vector: dict[str, Any],
    run_matrix: Callable[..., Any],
    injecting: Callable[..., Any],
) -> None:
    with injecting("W3", "process: exceptions, SystemExit, MemoryError in every phase", RAISED) as row:
        if vector is SHARED and phase == "init":
            faults = faults[:-1]  # environment 0 is made in the main process, where `interrupt` is the user's Ctrl-C
        scene = run_matrix(vector, phase, faults, row)
        for case in scene.lines:
            assert case["outcome"] == "exit 5", case
            check_named(case["message"], phase, case["fault"])
            assert case["closing"] < 5, case


ENDED = "the worker is restarted, or an EnvError; from reset to step environment, phase and seed are named"


@rounds("reset", ["segfault", "os-exit"], [*DIE])
def test_a_process_that_ends_is_restarted_or_reported(
    phase: str, faults: list[str], run_matrix: Callable[..., Any], injecting: Callable[..., Any]
) -> None:
    with injecting("W3", "os._exit, segfault, stack overflow, abort, SIGKILL in every phase", ENDED) as row:
        scene = run_matrix(ISOLATED, phase, faults, row)
        for case in scene.lines:
            check_survived(case, phase, scene.said(case["fault"]))


HUNG = "found at the deadline (5 s at least in init, where only SIGSTOP is injected), then as a process that ended"


@pytest.mark.faults
@pytest.mark.parametrize("phase", PHASES)
def test_a_process_that_hangs_is_restarted_or_reported(
    phase: str, run_matrix: Callable[..., Any], injecting: Callable[..., Any]
) -> None:
    faults = ["stop"] if phase == "init" else list(HANG)
    with injecting("W3", "endless loops (Python, C), sleep, SIGSTOP in every phase; deadline 2 s", HUNG) as row:
        scene = run_matrix(ISOLATED, phase, faults, row, seconds=200)
        for case in scene.lines:
            check_survived(case, phase, scene.said(case["fault"]))


def check_survived(case: dict[str, Any], phase: str, stderr: str) -> None:
    """The env goes on, having lost what its one worker had; or it says why it can't."""
    assert case["outcome"] in ("survived", "exit 5"), case
    assert case["closing"] < 5, case
    if case["outcome"] == "survived" and phase in ("autoreset", "step"):
        assert (case["restarts"], case["lost"]) == (1, 2), case
    if phase != "close":
        check_named(case["message"] + stderr, phase, case["fault"])


def test_every_way_to_fail_is_in_the_matrix() -> None:
    assert set(WAYS) == set(RAISE)
    assert {*RAISE, *DIE, *HANG, *LITTER} == set(ACTS)


INFO = "an EnvError that names environment, phase and seed; or the run goes on"


def test_infos_that_cannot_be_sent(run_matrix: Callable[..., Any], injecting: Callable[..., Any]) -> None:
    infos(run_matrix, injecting, [SHARED])


@pytest.mark.faults
def test_infos_that_cannot_be_sent_in_every_mode(run_matrix: Callable[..., Any], injecting: Callable[..., Any]) -> None:
    infos(run_matrix, injecting, [SERIAL, SHARED, ISOLATED])


def infos(run_matrix: Callable[..., Any], injecting: Callable[..., Any], vectors: list[dict[str, Any]]) -> None:
    with injecting("W4", "exceptions and infos that cannot be pickled, an info of 1 MB", INFO) as row:
        for vector in vectors:
            scene = run_matrix(vector, "step", ["unpicklable", "unprintable", "info-unpicklable", "info-large"], row)
            raised, unprintable, odd, large = scene.lines
            for case in (raised, unprintable):
                assert case["outcome"] == "exit 5", case
                check_named(case["message"], "step", case["fault"])
            assert odd["outcome"] in ("survived", "exit 5"), odd
            assert large["outcome"] == "survived", large


@pytest.mark.parametrize(
    "faults", [["print", "thread", "close-files"], pytest.param([*LITTER], marks=pytest.mark.faults)], ids=len
)
def test_litter_does_no_harm(
    faults: list[str], run_matrix: Callable[..., Any], injecting: Callable[..., Any], tmp_path: Path
) -> None:
    expected = "the env goes on and closes; nothing of it is on the run's stdout"
    with injecting("W3", "prints, chdir, handlers, threads, closed descriptors, no streams", expected) as row:
        scene = run_matrix(ISOLATED, "step", faults, row)
        for case in scene.lines:
            assert case["outcome"] == "survived", case
            assert case["closing"] < 5, case
        assert "chaos" not in (tmp_path / "stdout").read_text()
