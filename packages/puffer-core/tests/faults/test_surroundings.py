"""K2: surroundings that a program does not choose. `tests/host/test_cli.py` has those of the listing commands."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

Injecting = Callable[..., AbstractContextManager[Any]]
HERE = Path(__file__).parent
EXPECTED = "the right exit code, no traceback; a run that is trained is saved"
TRAIN = [
    *("train", "py:rooms:Learner", "py:rooms:Room", "--policy", "py:rooms:Policy", "--backend", "numpy"),
    *("--vector.num-envs", "2", "--vector.mode", "serial", "--total-steps", "32", "--eval-episodes", "2"),
    *("--run", "run"),
]
PUFFER = f"'{sys.executable}' -m puffer_core"


def shell(command: str, where: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command line, in a shell, in a directory."""
    return subprocess.run(
        ["bash", "-c", command.replace("PUFFER", PUFFER).replace("TRAIN", " ".join(TRAIN))],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(HERE), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


SURROUNDINGS: dict[str, tuple[str, dict[str, str], int]] = {
    "one column, LANG=C, no home": (
        "PUFFER TRAIN",
        {"COLUMNS": "1", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "HOME": "/proc/nowhere"},
        0,
    ),
    "stdout and stderr closed": ("PUFFER TRAIN >&- 2>&-", {}, 0),
    "stdout closed": ("PUFFER TRAIN >&-", {}, 0),
    "stderr closed": ("PUFFER TRAIN 2>&-", {}, 0),
    "stdin closed": ("PUFFER TRAIN <&-", {}, 0),
    "no variables at all": ("env -i PYTHONPATH=$PYTHONPATH PUFFER TRAIN", {}, 0),
    "a reader that goes away": ("set -o pipefail; PUFFER TRAIN | true; exit ${PIPESTATUS[0]}", {}, 0),
}
SHORT = ("one column, LANG=C, no home", "stdout and stderr closed")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.faults) for name in SURROUNDINGS]
)
def test_training_in_surroundings(tmp_path: Path, injecting: Injecting, name: str) -> None:
    command, environ, code = SURROUNDINGS[name]
    with injecting(
        "K2", "training: closed streams, one column, LANG=C, no HOME, no variables, no reader", EXPECTED
    ) as row:
        began = monotonic()
        ran = shell(command, tmp_path, **environ)
        assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), ran.stderr
        assert (tmp_path / "run/checkpoints/step-000000000032").is_dir()
        row.took(monotonic() - began)


AS_SOMEBODY_ELSE = """
import ctypes, os, sys
for capability in (1, 2):  # root without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH is held to permissions like anybody
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
COMMANDS = """
import io, json, shutil
from contextlib import redirect_stderr
from pathlib import Path
from puffer_core.cli.main import main

def say(*command):
    with redirect_stderr(io.StringIO()) as said:
        code = main(command)
    print(json.dumps([code, said.getvalue()]))

for closed in ("run", "run/checkpoints", "run/metrics.jsonl"):
    Path(closed).chmod(0)
    if closed != "run/metrics.jsonl":
        say("checkpoints", "list", "run")
        say("eval", "run")
    say("resume", "run", "--total-steps", "64")
    say("runs", ".")
    Path(closed).chmod(0o755)
"""


def test_a_run_that_may_not_be_read(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(
        "K2", "a run of somebody else, which may not be read", "exit 6, the path named; other runs are listed"
    ) as row:
        assert shell("PUFFER TRAIN", tmp_path).returncode == 0
        ran = subprocess.run(
            [sys.executable, "-c", AS_SOMEBODY_ELSE, COMMANDS],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]
        assert len(said) == 10, ran
        for code, text in said:
            assert "internal error" not in text
            assert (code, "Permission denied" in text) in ((6, True), (0, False)), text
            row.injected += 1
        assert [code for code, _ in said] == [6, 6, 6, 0, 6, 6, 6, 0, 6, 0]


def test_a_terminal_is_left_as_it_was(tmp_path: Path, injecting: Injecting) -> None:
    with injecting("K2", "a terminal of one column; interrupted twice", "exit 130, the cursor is shown") as row:
        main, other = pty.openpty()
        orders = '{"phase": "collect", "at": 30, "do": "SIGINT", "times": 2}'
        environ = {"PYTHONPATH": str(HERE), "FAULT_ORDERS": orders, "FAULT_DONE": str(tmp_path / "done")}
        began = monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "puffer_core", *TRAIN],
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "1", **environ},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        shown = b"".join(iter(lambda: _read(main), b"")).decode(errors="replace")
        os.close(main)
        assert process.wait(60) == 130, shown
        assert "Traceback" not in shown
        hidden, visible = shown.rfind("\x1b[?25l"), shown.rfind("\x1b[?25h")
        assert hidden <= visible
        row.took(monotonic() - began)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # as Linux says that nobody holds the other end
        return b""


@pytest.fixture
def read_only(tmp_path: Path) -> Any:
    """A directory that nobody can write into, root included."""
    place = tmp_path / "read-only"
    place.mkdir()
    made = subprocess.run(
        ["bash", "-c", f"mount --bind '{place}' '{place}' && mount -o remount,bind,ro '{place}'"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(place)], capture_output=True, check=False)
            pytest.skip(f"root may write anywhere, and no read-only mount can be made: {made.stderr.strip()}")
        place.chmod(0o500)
    yield place
    if made.returncode:
        place.chmod(0o700)
    else:
        subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_directory(read_only: Path, injecting: Injecting) -> None:
    with injecting("K2", "a read-only directory", "exit 6, the directory named; nothing hidden by a traceback") as row:
        began = monotonic()
        ran = shell("PUFFER TRAIN", read_only)
        assert ran.returncode == 6, ran.stderr
        assert "run: the run's directory cannot be made: " in ran.stderr
        assert "Traceback" not in ran.stderr
        row.took(monotonic() - began)


def test_a_home_that_cannot_be_written(read_only: Path, tmp_path: Path, injecting: Injecting) -> None:
    with injecting("K2", "HOME and caches on a read-only file system", EXPECTED) as row:
        began = monotonic()
        where = tmp_path / "work"
        where.mkdir()
        ran = shell("PUFFER TRAIN", where, HOME=str(read_only), XDG_CACHE_HOME=str(read_only / "cache"))
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
        row.took(monotonic() - began)
