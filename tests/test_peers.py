"""Processes that train together: what `all_reduce` gives in each of them, and what becomes of it when one is lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest

Launch: TypeAlias = Callable[..., list["subprocess.Popen[str]"]]

ENGINES = ("torch", "jax")
RESOURCE = 6
CHILD = """
import json, os, sys
import numpy as np
from puffer_core.errors import PufferError
from puffer_testing.components import build

engine, what = sys.argv[1:]
options = {"device": "cpu"} | ({"peer_timeout": 1.0} if what in ("alone", "hang") else {})
try:
    backend = build("backend", engine, options)
    rank = backend.rank
    two = np.arange(3, dtype=np.float32) * (rank + 1), np.full((2, 2), rank / 3)
    tree = {"b": two, "a": {"c": np.ones(()) * rank}}
    reduce = lambda tree, op="mean": backend.to_numpy(backend.all_reduce(backend.to_device(tree), op))
    found = {op: reduce(tree, op) for op in ("mean", "max")}
    found["sum"] = reduce({**tree, "n": np.arange(2) + rank}, "sum")
    for op, bad in (("mean", np.arange(2)), ("sum", np.ones(2, bool))):
        try:
            reduce({"x": bad}, op)
        except PufferError as error:
            found[f"bad {op}"] = error.message
    if rank == 1 and what == "die":
        os._exit(9)
    if rank == 1 and what == "hang":
        sys.stdin.read()
    if what in ("die", "hang"):
        reduce(tree)
    plain = lambda x: {"dtype": str(x.dtype), "value": x.tolist()} if hasattr(x, "dtype") else x
    said = {"found": found, "described": [backend.describe()[name] for name in ("rank", "world_size")]}
    print(json.dumps(said, default=plain))
except PufferError as error:
    print(json.dumps({"error": error.message}))
    sys.exit(error.exit_code)
"""


@pytest.fixture
def launched() -> Iterator[Launch]:
    """Starts processes, all of which are gone when the test is over."""
    with ExitStack() as stack:

        def launch(engine: str, what: str, ranks: tuple[int, ...] = (0, 1)) -> list[subprocess.Popen[str]]:
            processes = [stack.enter_context(process) for process in started(engine, what, ranks)]
            for process in processes:
                stack.callback(process.kill)
            return processes

        yield launch


def started(engine: str, what: str, ranks: tuple[int, ...]) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, engine, what],
            env={**os.environ, **launcher, "RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]


def said(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, err = process.communicate(timeout=240)
    lines = [line for line in out.splitlines() if line.startswith("{")]  # gloo prints too
    assert lines or process.returncode == 9, err
    return process.returncode, json.loads(lines[-1]) if lines else {}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_process_gets_the_same_tree(launched: Launch, engine: str) -> None:
    (code, first), (other_code, second) = [said(process) for process in launched(engine, "reduce")]
    assert (code, other_code) == (0, 0), (first, second)
    assert (first["described"], second["described"]) == ([0, 2], [1, 2])
    assert first["found"] == second["found"]
    found = first["found"]
    assert found["mean"]["b"][0] == {"dtype": "float32", "value": [0.0, 1.5, 3.0]}
    assert found["mean"]["b"][1] == {"dtype": "float64", "value": [[1 / 6, 1 / 6]] * 2}
    assert found["mean"]["a"]["c"] == {"dtype": "float64", "value": 0.5}
    assert found["max"]["b"][0]["value"] == [0.0, 2.0, 4.0]
    assert found["sum"]["n"] == {"dtype": "int64", "value": [1, 3]}
    assert found["bad mean"] == "all_reduce: x is int64, and mean is of floats"
    assert found["bad sum"] == "all_reduce: x is bool, and sum is of floats and integers"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_process_that_dies_is_reported_by_the_others(launched: Launch, engine: str) -> None:
    (code, report), (died, _) = [said(process) for process in launched(engine, "die")]
    assert died == 9
    assert code == RESOURCE, report
    assert f"backend {engine}: rank 0 of 2 cannot reach the others in all_reduce: " in report["error"]


def test_torch_does_not_wait_without_end_for_processes_that_do_not_come(launched: Launch) -> None:
    ((code, report),) = [said(process) for process in launched("torch", "alone", (0,))]
    assert code == RESOURCE, report
    assert "backend torch: rank 0 of 2 cannot reach the others in joining: " in report["error"]


def test_torch_does_not_wait_without_end_for_a_process_that_hangs(launched: Launch) -> None:
    processes = launched("torch", "hang")
    code, report = said(processes[0])
    said(processes[1])
    assert code == RESOURCE, report
    assert "in all_reduce: " in report["error"]
