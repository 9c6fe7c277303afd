"""What fault tests share: scenes in processes of their own, and the table of what was injected.

With `RELIABILITY_TABLE` set, what this run injected replaces the rows of the same tests in that JSON file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from puffer_testing.loading import load_module

SCENES = Path(__file__).with_name("scenes.py")


@dataclass
class Injected:
    """One row of the table: what was done, how often, and what came of it."""

    id: str
    what: str
    expected: str
    injected: int = 0
    failures: int = 0
    worst_seconds: float = 0.0
    """From the fault until all was well again, or was reported."""

    def took(self, seconds: float) -> None:
        """One more fault was survived or reported, so long after it was injected."""
        self.injected += 1
        self.worst_seconds = round(max(self.worst_seconds, seconds), 3)


@dataclass(frozen=True)
class Scene:
    """How a scene ended: the JSON lines that it printed, stderr, exit status."""

    lines: list[dict[str, Any]]
    stderr: str
    status: int

    def said(self, fault: str) -> str:
        """What stood on stderr during one case of the matrix."""
        return self.stderr.partition(f"### {fault}\n")[2].partition("### ")[0]


@pytest.fixture(scope="session")
def table() -> Iterator[list[Injected]]:
    rows: list[Injected] = []
    yield rows
    where = os.environ.get("RELIABILITY_TABLE")
    if where and rows:
        path = Path(where)
        old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        merged = {(row["id"], row["what"]): row for row in [*old, *map(asdict, added_up(rows))]}
        path.write_text(json.dumps([merged[key] for key in sorted(merged)], indent=1) + "\n", encoding="utf-8")


def added_up(rows: list[Injected]) -> list[Injected]:
    """One row for all tests that inject the same."""
    sums: dict[tuple[str, str], Injected] = {}
    for row in rows:
        total = sums.setdefault((row.id, row.what), Injected(row.id, row.what, row.expected))
        total.injected += row.injected
        total.failures += row.failures
        total.worst_seconds = max(total.worst_seconds, row.worst_seconds)
    return list(sums.values())


@pytest.fixture
def injecting(table: list[Injected]) -> Callable[..., AbstractContextManager[Injected]]:
    """A row of the table for the faults that are injected within; an assertion that fails in it is a failure."""

    @contextmanager
    def row(id: str, what: str, expected: str) -> Iterator[Injected]:
        made = Injected(id, what, expected)
        table.append(made)
        try:
            yield made
        except BaseException:
            made.injected += 1
            made.failures += 1
            raise
        assert made.injected, f"{id}: nothing of {what!r} was counted"

    return row


@pytest.fixture
def train() -> Callable[..., Any]:
    """`running.train`: a run in a process of its own, with orders for `rooms`."""
    running = load_module(Path(__file__).with_name("running.py"), "puffer_core_faults_running")
    return running.train  # type: ignore[no-any-return]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Scene]:
    """Run a scene to its end, within a time; one that hangs fails, and says in which case."""

    def run(name: str, seconds: float, **arguments: Any) -> Scene:
        with scene(name, tmp_path, **arguments) as process:
            late = False
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                late = True
        stdout, stderr = ((tmp_path / file).read_text(errors="replace") for file in ("stdout", "stderr"))
        assert not late, f"not done within {seconds} s; so far: {stdout[-2000:]}\n{stderr[-4000:]}"
        lines = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
        return Scene(lines, stderr, process.returncode)

    return run


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]:
    """Start a scene that is not meant to end, in a process group of its own; wait for its first line."""

    @contextmanager
    def run(name: str, **arguments: Any) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
        with scene(name, tmp_path, **arguments) as process:
            stdout, until = tmp_path / "stdout", time.monotonic() + 60
            while not stdout.read_text().endswith("\n"):
                assert process.poll() is None, (tmp_path / "stderr").read_text()
                assert time.monotonic() < until, (tmp_path / "stderr").read_text()
                time.sleep(0.01)
            yield process, json.loads(stdout.read_text().splitlines()[-1])

    return run


@contextmanager
def scene(name: str, where: Path, **arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A scene, writing into files (a pipe would stay open in what it leaves behind); its group is killed at the end."""
    command = [sys.executable, str(SCENES), name, json.dumps(arguments)]
    with (where / "stdout").open("wb") as out, (where / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, start_new_session=True, cwd=where)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
