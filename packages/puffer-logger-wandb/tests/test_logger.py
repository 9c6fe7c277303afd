"""Runs in wandb's real offline mode, read back by wandb's own reader."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from puffer_core.contracts.logger import RunInfo
from puffer_core.errors import UsageError
from puffer_logger_wandb import WandbConfig, WandbLogger, service

Records = list[dict[str, Any]]
ID = "2026-01-01_0000_ppo_cartpole_0000"
OFFLINE = WandbConfig(mode="offline", project="tests", group="g", tags=("a", "b"), notes="n", job_type="train")


def rows(records: Records) -> list[dict[str, Any]]:
    """History, without wandb's clock."""
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    return [{key: value for key, value in item.items() if key not in {"_runtime", "_timestamp"}} for item in items]


def runs(records: Records) -> list[dict[str, Any]]:
    return [record["run"] for record in records if record["type"] == "run"]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory, info: Callable[..., RunInfo]) -> Path:
    """A run with everything in it, resumed once after step 200, where what follows is given again."""
    place = tmp_path_factory.mktemp("run")
    (place / "note.txt").write_text("a file")
    first = WandbLogger(OFFLINE)
    first.open(info(place), None)
    first.log(100, {"loss": 0.5, "nan": math.nan, "inf": math.inf, "_step": 7.0, "a.b": 1.0, "é ": 2.0, "": 3.0})
    first.log(200, {"loss": torch.tensor(0.25, requires_grad=True)})  # type: ignore[dict-item]
    first.artifact(200, "picture", "image", np.zeros((4, 6, 3), np.uint8))
    first.artifact(200, "film", "video", np.zeros((2, 4, 6, 3), np.uint8))
    first.artifact(200, "weights", "histogram", np.linspace(-1, 1, 50))
    first.artifact(200, "words", "text", "hello")
    first.artifact(200, "note", "file", place / "note.txt")
    first.artifact(150, "late", "text", "for a row that is past")
    first.artifact(200, "nothing", "histogram", np.zeros(0))
    first.artifact(200, "new", "sound", b"")  # type: ignore[arg-type]
    first.close()
    second = WandbLogger(OFFLINE)
    second.open(info(place), 200)
    second.log(200, {"loss": 9.0})
    second.artifact(200, "again", "text", "again")
    second.log(300, {"loss": 0.125})
    second.log(400, {})
    second.close()
    return place


@pytest.fixture(scope="module")
def records(resumed: Path, read: Callable[[Path], Records]) -> Records:
    return read(resumed)


def test_rows_are_what_was_logged(records: Records) -> None:
    first, second, third = rows(records)
    assert first == {
        "_step": 100, "loss": 0.5, "nan": "NaN", "inf": "Infinity", "metric/_step": 7, "a.b": 1, "é ": 2, "metric/": 3,
    }  # fmt: skip
    assert (second["_step"], second["loss"]) == (200, 0.25)
    assert third == {"_step": 300, "loss": 0.125}


def test_a_resume_keeps_the_run_and_repeats_nothing(records: Records) -> None:
    assert [run["run_id"] for run in runs(records)] == [ID, ID]
    assert [row["_step"] for row in rows(records)] == [100, 200, 300]


def test_config_and_labels_are_there(records: Records) -> None:
    run = runs(records)[0]
    config = run["config"]["update"]
    assert config["seed"] == 3
    assert config["policy"] == {"name": "mlp", "hidden_sizes": [64, 64]}
    assert (run["project"], run["run_group"], run["job_type"], run["notes"]) == ("tests", "g", "train", "n")
    assert (run["tags"], run["display_name"]) == (["a", "b"], ID)


def test_artifacts_are_in_their_row(records: Records) -> None:
    row = rows(records)[1]
    kinds = {key.removesuffix("._type"): value for key, value in row.items() if key.endswith("._type")}
    assert kinds == {
        "picture": "image-file", "film": "video-file", "weights": "histogram",
        "words": "html-file", "late": "html-file",
    }  # fmt: skip


def test_a_file_is_copied_and_announced(resumed: Path, records: Records) -> None:
    named = [file["path"] for record in records if record["type"] == "files" for file in record["files"]["files"]]
    assert "files/note/200/note.txt" in named
    (copy,) = resumed.glob("wandb/offline-run-*/files/files/note/200/note.txt")
    assert copy.read_text() == "a file"
    assert not copy.is_symlink()


def test_nothing_is_known_of_the_machine(resumed: Path, records: Records) -> None:
    kinds = {record["type"] for record in records}
    assert not kinds & {"stats", "output", "output_raw", "environment"}
    names = {path.name for path in resumed.glob("wandb/offline-run-*/files/**/*")}
    assert not names & {"requirements.txt", "wandb-metadata.json", "output.log", "diff.patch", "code"}


def test_everything_is_in_the_runs_directory(resumed: Path) -> None:
    assert {path.name for path in resumed.iterdir()} == {"note.txt", "wandb"}


def service_pid() -> int:
    process = service._process()
    assert process is not None
    assert process.poll() is None
    return int(process.pid)


def stop_service() -> None:
    """On return it is stopped: a thread of it that runs on another core goes on for a moment after the signal."""
    process = psutil.Process(service_pid())
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        pass


def kill_service() -> None:
    process = service._process()
    assert process is not None
    process.kill()
    process.wait()


def log_until_it_raises(logger: WandbLogger) -> None:
    for step in range(2, 10_000):
        logger.log(step, {"a": 1.0})


def test_a_dead_service_raises_and_the_next_call_starts_another(
    tmp_path: Path, info: Callable[..., RunInfo], read: Callable[[Path], Records]
) -> None:
    logger = WandbLogger(OFFLINE)
    logger.open(info(tmp_path), None)
    logger.log(1, {"a": 1.0})
    kill_service()
    with pytest.raises(Exception, check=service.is_gone):  # noqa: B017  wandb has three classes for it
        log_until_it_raises(logger)
    logger.log(20_000, {"a": 2.0})
    logger.close()
    assert rows(read(tmp_path))[-1] == {"_step": 20_000, "a": 2}
    assert {run["run_id"] for run in runs(read(tmp_path))} == {ID}


def test_a_service_that_does_not_answer_is_killed(
    tmp_path: Path, info: Callable[..., RunInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puffer_logger_wandb.logger._MARGIN", 0.5)
    logger = WandbLogger(OFFLINE.model_copy(update={"finish_timeout": 0.1, "init_timeout": 60.0}))
    logger.open(info(tmp_path), None)
    stop_service()
    with pytest.raises(Exception, check=service.is_gone):  # noqa: B017  wandb has three classes for it
        logger.close()
    logger.close()


def test_a_run_starts_where_an_earlier_ones_service_is_dead(tmp_path: Path, info: Callable[..., RunInfo]) -> None:
    for id in ("one", "two"):
        logger = WandbLogger(OFFLINE)
        logger.open(info(tmp_path, id), None)
        if id == "one":
            kill_service()
        else:
            logger.close()
    assert list(tmp_path.glob("wandb/offline-run-*/run-two.wandb"))


def test_a_service_that_only_seemed_dead_is_not_waited_for(
    tmp_path: Path, info: Callable[..., RunInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_TEARDOWN_SECONDS", 0.5)
    logger = WandbLogger(OFFLINE)
    logger.open(info(tmp_path), None)
    stop_service()
    service.forget()
    with suppress(Exception):  # its service was taken from under it
        logger.close()


def test_killing_where_there_is_no_service_does_nothing() -> None:
    service.forget()
    service._kill()


def test_online_without_a_key_is_refused(tmp_path: Path, info: Callable[..., RunInfo]) -> None:
    with pytest.raises(UsageError, match="there is no API key"):
        WandbLogger(WandbConfig(mode="online")).open(info(tmp_path), None)


def test_disabled_does_nothing(tmp_path: Path, info: Callable[..., RunInfo]) -> None:
    logger = WandbLogger(WandbConfig(mode="disabled"))
    logger.open(info(tmp_path), None)
    logger.log(1, {"a": 1.0})
    logger.artifact(1, "a", "text", "a")
    logger.close()
    assert list(tmp_path.iterdir()) == []
