from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from puffer_core.errors import CheckpointError, ResourceError, UsageError
from puffer_core.run.directory import Run, RunDirectory, new_name


def test_names_say_when_what_and_on_what() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d{4}_ppo_cartpole_[0-9a-f]{4}", new_name("ppo", "cartpole"))


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("gymnasium:ALE/Pong-v5", "_gymnasium-ale-pong-v5_"),
        ("../../etc/passwd", "_etc-passwd_"),
        ("py:a.b:C", "_py-a.b-c_"),
        ("é", "_run_"),
        ("x" * 300, f"_{'x' * 40}_"),
    ],
)
def test_names_are_safe_whatever_the_env_is_called(source: str, part: str) -> None:
    assert part in new_name("ppo", source)


def test_a_new_run_stands_under_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunDirectory("", "ppo", "cartpole") as directory:
        assert directory.path.parent == Path("runs")
        assert directory.path.is_dir()


def test_a_named_directory_may_be_empty(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, "t", "e") as directory:
        assert directory.path == tmp_path
    assert tmp_path.is_dir()


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="not empty") as refused:
        RunDirectory(tmp_path, "t", "e")
    assert str(tmp_path) in refused.value.message
    assert "puffer resume" not in refused.value.remedy
    (tmp_path / "config.json").touch()
    with pytest.raises(UsageError, match=f"puffer resume {tmp_path}"):
        RunDirectory(tmp_path, "t", "e")


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory(tmp_path / name, "t", "e")


def test_a_place_that_cannot_be_made_is_a_resource_error() -> None:
    with pytest.raises(ResourceError, match="cannot be made"):
        RunDirectory("/proc/puffer/run", "t", "e")


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, "t", "e"):
        program = f"from puffer_core.run.directory import hold; from pathlib import Path; hold(Path({str(tmp_path)!r}))"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert f'"pid": {os.getpid()}' in other.stderr
        with pytest.raises(ResourceError, match="another process"):
            RunDirectory(tmp_path, "t", "e")


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, "t", "e") as directory:
        directory.describe({"a": 1}, [])
        (tmp_path / "metrics.jsonl").touch()
    assert json.loads((tmp_path / "config.json").read_bytes()) == {"a": 1}
    from puffer_core.run.directory import hold

    hold(tmp_path).close()


def test_a_run_that_never_began_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "new", "t", "e") as directory:
        directory.describe({}, [])
    with RunDirectory(tmp_path / "kept", "t", "e") as directory:
        (tmp_path / "kept" / "mine").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "mine"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1, "a": 2}', b"\xff"])
def test_a_damaged_configuration_is_a_checkpoint_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json") as refused:
        _ = Run(tmp_path).config
    assert "puffer checkpoints verify" in refused.value.remedy


def test_a_run_whose_configuration_is_gone_wants_it_back(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=r"it has no config\.json") as refused:
        Run(tmp_path)
    assert "from a copy" in refused.value.remedy


def test_a_file_is_no_run_and_said_to_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="it is a file"):
        Run(tmp_path / "file")


def test_pids_that_cannot_be_kept_now_are_kept_later(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run", "t", "e") as directory:
        directory.path.rename(tmp_path / "moved")
        directory.keep_workers([1, 2])
        (tmp_path / "moved").rename(directory.path)
        directory.keep_workers([1, 2])
        assert '"workers"' in (directory.path / "workers.json").read_text()


def test_a_directory_made_in_the_place_of_the_run_is_not_written_into(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run", "t", "e") as directory:
        directory.describe({}, [])
        directory.check_there()
        directory.path.rename(tmp_path / "moved")
        directory.path.mkdir()
        with pytest.raises(ResourceError, match="removed or moved away"):
            directory.check_there()
