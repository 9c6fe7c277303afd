"""A training run in a process of its own, whose wandb service is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

KILLER = """
import os, signal, sys
from puffer_logger_wandb import logger, service

write = logger.WandbLogger._write
def killing(self, step, row):
    if self._row > 0 and not os.path.exists("killed"):
        os.kill(service.library().setup()._connection._proc._process.pid, signal.SIGKILL)
        open("killed", "w").close()
    write(self, step, row)
logger.WandbLogger._write = killing

from puffer_core.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def own_environment() -> dict[str, str]:
    """Without the name of the service that other tests use."""
    return {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}


def test_a_killed_service_changes_nothing(tmp_path: Path) -> None:
    options = ["--total-steps", "16384", "--eval-episodes", "1", "--quiet", "--run", "run", "--logger", "wandb"]
    command = [sys.executable, "-c", KILLER, "train", "ppo", "cartpole", *options]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False,
        env=own_environment() | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "killed").exists()
    assert "Traceback" not in done.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] >= 16384
    assert steps == sorted(set(steps))
