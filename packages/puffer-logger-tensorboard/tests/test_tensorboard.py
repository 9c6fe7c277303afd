"""A real run, read by the real TensorBoard."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.jsonl import read_metrics
from puffer_logger_tensorboard.logger import TensorBoardLogger
from puffer_testing.browser import photograph, rendered

PATIENCE_SECONDS = 60
CURVES = "return_recent|loss/value|kl|entropy"
"""Tags of the picture, as a regular expression."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command line that TensorBoard was asked for."""
    place = tmp_path_factory.mktemp("runs") / "cartpole"
    options = ["--logger", "tensorboard", "--total-steps", "20000", "--run", str(place)]
    command = [sys.executable, "-m", "puffer_core", "train", "ppo", "cartpole", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


def truth(run: Path, key: str) -> dict[int, float]:
    """A metric by step, where it is a number."""
    rows = read_metrics(run / "metrics.jsonl")
    return {row["step"]: row[key] for row in rows if row.get(key, float("nan")) == row.get(key)}


@pytest.mark.slow
def test_a_training_run_is_read_back(trained: Path) -> None:
    events = EventAccumulator(str(trained / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    rows = read_metrics(trained / "metrics.jsonl")
    assert rows
    tags = events.Tags()["scalars"]
    for key in set(rows[-1]) - {"step"}:  # some have no value in a run of less than a second, and so no curve
        points = events.Scalars(key) if key in tags else []
        shown = {event.step: event.value for event in points if event.value == event.value}
        assert shown == pytest.approx(truth(trained, key), rel=1e-6), key
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    assert len(metadata.parse_session_start_info_plugin_data(content).hparams) > 10


@dataclass(frozen=True)
class Board:
    """TensorBoard's server."""

    process: subprocess.Popen[bytes]
    address: str

    def get(self, path: str, enough: Callable[[Any], bool], **query: str) -> Any:
        """Ask over HTTP until an answer satisfies."""
        until, answer = time.monotonic() + PATIENCE_SECONDS, None
        while time.monotonic() < until:
            assert self.process.poll() is None
            try:
                address = f"{self.address}data/{path}?{urllib.parse.urlencode(query)}"
                with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as reply:
                    answer = json.load(reply)
                if enough(answer):
                    return answer
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)  # between questions
        raise AssertionError(f"{path}: {answer}")


@contextmanager
def served(directory: Path, said: Path, *options: str) -> Iterator[Board]:
    """TensorBoard over a directory, on a port that it finds free; what it says goes to the file `said`."""
    flags = ["--logdir", str(directory), "--host", "127.0.0.1", "--port", "0", "--reload_interval", "1"]
    command = [sys.executable, "-m", "tensorboard.main", *flags, *options]
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", said.read_text())):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < until, said.read_text()
            time.sleep(0.05)  # between looks
        yield Board(process, found[0])
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def board(trained: Path) -> Iterator[Board]:
    """A server that has read the training run."""
    with served(trained.parent, trained.parent / "said") as board:
        board.get("plugin/scalars/tags", bool)
        yield board


@pytest.mark.slow
def test_a_server_shows_a_training_run(trained: Path, board: Board) -> None:
    expected = truth(trained, "episode/return_recent")
    assert loaded(board, len(expected)) == pytest.approx(expected, rel=1e-6)


def loaded(board: Board, count: int) -> dict[int, float]:
    """The server's points by step, once it has read so many of them."""
    asked = {"run": "cartpole/tensorboard", "tag": "episode/return_recent"}
    points = board.get("plugin/scalars/scalars", lambda points: len(points) >= count, **asked)
    return {step: value for _, step, value in points}


@pytest.mark.slow
def test_a_browser_shows_its_curves(trained: Path, board: Board) -> None:
    """With `PICTURES` set, the documentation's picture of it is written to that directory."""
    loaded(board, len(truth(trained, "episode/return_recent")))
    page = f"{board.address}?{urllib.parse.urlencode({'smoothing': 0, 'tagFilter': CURVES})}#timeseries"
    wanted = {"episode/return_recent", "loss/value", "policy/entropy", "policy/kl"}
    wanted.add(f"{max(truth(trained, 'loss/value')):,}")
    for wait_ms in (20_000, 60_000, 120_000):  # the page's own time runs ahead of a server that has little of the CPU
        shown = "".join(re.split(r"<[^>]*>", rendered(page, wait_ms=wait_ms)))
        missing = {text for text in wanted if text not in shown}
        if not missing:
            break
    assert not missing
    if pictures := os.environ.get("PICTURES"):
        photograph(page, Path(pictures) / "tensorboard.png")


@pytest.mark.slow
@pytest.mark.parametrize("fast", ["true", "false"])
def test_a_server_shows_a_run_that_goes_on_without_orphans(run: RunInfo, fast: str, tmp_path: Path) -> None:
    def shown(board: Board) -> list[int]:
        points = board.get(
            "plugin/scalars/scalars", lambda rows: rows[-1][1] in (40, 35), run="tensorboard", tag="loss"
        )
        return [step for _, step, _ in points]

    def write(last_step: int | None, *steps: int) -> None:
        logger = TensorBoardLogger()
        logger.open(run, last_step)
        for step in steps:
            logger.log(step, {"loss": step})
        logger.close()

    write(None, 10, 20, 30, 40)
    with served(run.directory, tmp_path / "said", "--load_fast", fast) as board:
        assert shown(board) == [10, 20, 30, 40]
        write(20, 25, 35)
        until = time.monotonic() + PATIENCE_SECONDS
        while (last := shown(board)) != [10, 20, 25, 35] and time.monotonic() < until:
            time.sleep(0.05)  # between questions
        assert last == [10, 20, 25, 35]
    with served(run.directory, tmp_path / "said", "--load_fast", fast) as board:
        assert shown(board) == [10, 20, 25, 35]
