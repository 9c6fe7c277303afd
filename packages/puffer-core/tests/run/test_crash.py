"""Errors that nobody planned: what a run leaves of them, and what becomes of memory that ran out."""

from __future__ import annotations

import errno
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from puffer_core.errors import EnvError, ResourceError
from puffer_core.plugins import PluginHost
from puffer_core.run.crash import crash_reports, free_name
from puffer_core.run.loop import execute
from puffer_core.run.shortage import shortage


def test_an_error_in_a_run_leaves_a_report(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the trainer broke") as failed:
        execute(plans.plan(tmp_path / "r", raise_at=3), host)
    path = tmp_path / "r" / "crash-1.txt"
    assert failed.value.__notes__ == [f"Its surroundings are in {path}"]
    text = path.read_text()
    for part in (
        "RuntimeError: the trainer broke",
        "python ",
        "puffer-core ",
        "Traceback",
        '"step":8',
        '"source": "walk"',
    ):
        assert part in text.replace('"step": 8', '"step":8')


def test_an_error_that_was_planned_leaves_none(host: PluginHost, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    for error in (EnvError("planned"), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()):
        with pytest.raises(type(error)), crash_reports(tmp_path, {}, host):
            raise error
    assert not list(tmp_path.glob("crash-*"))


def test_a_run_without_metrics_can_be_reported(host: PluginHost, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(ValueError, match="x"), crash_reports(tmp_path, {}, host):
        raise ValueError("x")
    assert "(none)" in (tmp_path / "crash-1.txt").read_text()
    assert free_name(tmp_path, "crash").name == "crash-2.txt"


def memory_error() -> BaseException:
    with pytest.raises(MemoryError) as caught:
        np.ones(2**50, np.uint8)
    return caught.value


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (memory_error(), "1125.9 TB"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes. "),
            "8.0 GB",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 4.00 GiB total capacity)"), "21.0 MB"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ""),
        (MemoryError(), ""),
    ],
)
def test_sizes_are_read_from_what_is_said(error: BaseException, wanted: str) -> None:
    short = shortage(error)
    assert short is not None
    assert short.exit_code == 6
    assert (f"{wanted} were wanted" in short.message) == bool(wanted)
    assert "the machine has" in short.message or not Path("/proc/meminfo").exists()


@pytest.mark.parametrize("error", [None, ValueError("out of memory"), OSError(errno.EIO, "x"), RuntimeError("x")])
def test_other_errors_are_none_of_memory(error: BaseException | None) -> None:
    assert shortage(error) is None


def test_memory_that_an_env_wanted_is_told_with_the_env(host: PluginHost, tmp_path: Path) -> None:
    with (
        pytest.raises(ResourceError, match=r"memory ran out: .*: cartpole cannot be made"),
        crash_reports(tmp_path, {}, host),
    ):
        raise EnvError("cartpole cannot be made") from MemoryError()
