"""A real run, read by the real TensorBoard."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from puffer_core.contracts.logger import RunInfo
from puffer_core.metrics import read_metrics
from puffer_logger_tensorboard.logger import TensorBoardLogger

Get = Callable[..., Any]
PATIENCE_SECONDS = 60


@pytest.mark.slow
def test_a_training_run_is_read_back(tmp_path: Path) -> None:
    place = tmp_path / "run"
    options = ["--logger", "tensorboard", "--total-steps", "2000", "--run", str(place)]
    command = [sys.executable, "-m", "puffer_core", "train", "ppo", "cartpole", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(place / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    rows = read_metrics(place / "metrics.jsonl")
    assert rows
    for key in set(rows[-1]) - {"step"}:
        truth = {row["step"]: row[key] for row in rows if row.get(key, float("nan")) == row.get(key)}
        shown = {event.step: event.value for event in events.Scalars(key) if event.value == event.value}
        assert shown == pytest.approx(truth, rel=1e-6), key
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    assert len(metadata.parse_session_start_info_plugin_data(content).hparams) > 10


@contextmanager
def served(directory: Path, *options: str) -> Iterator[Get]:
    """TensorBoard over a directory; gives what asks it over HTTP until an answer satisfies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--logdir", str(directory), "--host", "127.0.0.1", "--port", str(port), "--reload_interval", "1"]
    command = [sys.executable, "-m", "tensorboard.main", *flags, *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def get(path: str, enough: Callable[[Any], bool], **query: str) -> Any:
        until, answer = time.monotonic() + PATIENCE_SECONDS, None
        while time.monotonic() < until:
            assert server.poll() is None, server.stderr and server.stderr.read()
            try:
                address = f"http://127.0.0.1:{port}/data/{path}?{urllib.parse.urlencode(query)}"
                with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as reply:
                    answer = json.load(reply)
                if enough(answer):
                    return answer
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)  # between questions
        raise AssertionError(f"{path}: {answer}")

    try:
        yield get
    finally:
        server.terminate()
        server.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("fast", ["true", "false"])
def test_a_server_shows_a_run_that_goes_on_without_orphans(run: RunInfo, fast: str) -> None:
    def shown() -> list[int]:
        points = get("plugin/scalars/scalars", lambda rows: rows[-1][1] in (40, 35), run="tensorboard", tag="loss")
        return [step for _, step, _ in points]

    def write(last_step: int | None, *steps: int) -> None:
        logger = TensorBoardLogger()
        logger.open(run, last_step)
        for step in steps:
            logger.log(step, {"loss": step})
        logger.close()

    write(None, 10, 20, 30, 40)
    with served(run.directory, "--load_fast", fast) as get:
        assert shown() == [10, 20, 30, 40]
        write(20, 25, 35)
        until = time.monotonic() + PATIENCE_SECONDS
        while (last := shown()) != [10, 20, 25, 35] and time.monotonic() < until:
            time.sleep(0.05)  # between questions
        assert last == [10, 20, 25, 35]
    with served(run.directory, "--load_fast", fast) as get:
        assert shown() == [10, 20, 25, 35]
