"""Who is compared: each peer in an environment of its own under .bench/, each measurement in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".bench"
OURS = "puffer"
GYMNASIUM = "gymnasium"
"""A peer that Puffer needs itself: measured in Puffer's own environment."""


def interpreter(peer: str) -> str:
    """The Python that has the peer: this one for Puffer and Gymnasium, else that of `.bench/PEER`, made if missing."""
    if peer in (OURS, GYMNASIUM):
        return sys.executable
    requirements = HERE / f"requirements-{peer}.txt"
    venv = ENVIRONMENTS / peer
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = venv / ".ready"
    wanted = requirements.read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        say(f"installing {peer} into {venv}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def measure(worker: str, peer: str, settings: dict[str, Any], *, caches: Path | None = None) -> dict[str, Any]:
    """Run `workers/WORKER_PEER.py` with the settings and `started`, the time before its process; its answer is JSON.

    `caches` is where compiled programs are kept in place of the user's cache directory.

    Raises:
        RuntimeError: it failed; the message holds what it printed.
    """
    threads = str(settings.get("threads", 1))
    environ = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    if caches is not None:
        environ |= {"NUMBA_CACHE_DIR": str(caches), "XDG_CACHE_HOME": str(caches)}
    command = [interpreter(peer), str(HERE / "workers" / f"{worker}_{peer.replace('-', '_')}.py")]
    with tempfile.TemporaryDirectory() as directory:
        argument = json.dumps({**settings, "started": time.time()})
        done = subprocess.run(
            [*command, argument], cwd=directory, env=environ, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    answer: dict[str, Any] = json.loads(answers[-1])  # peers may say more after it
    return answer


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def write(name: str, content: dict[str, Any]) -> None:
    """Keep a result beside the script that made it."""
    file = HERE / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    text = json.dumps({"measured": time.strftime("%Y-%m-%d"), "machine": machine(), **content}, indent=1)
    file.write_text(text + "\n", encoding="utf-8")
    say(f"written: {file.relative_to(HERE.parent)}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
