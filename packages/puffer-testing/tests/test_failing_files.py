from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from puffer_testing import Crashed, FailingFiles, Operation


def kinds(files: FailingFiles) -> list[str]:
    return [operation.kind for operation in files.operations]


def at(number: int, error: BaseException) -> Callable[[Operation], None]:
    def before(operation: Operation) -> None:
        if operation.number == number:
            raise error

    return before


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def by_descriptor(place: Path) -> None:
    descriptor = os.open(place / "a", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"12")
    os.fsync(descriptor)
    os.ftruncate(descriptor, 1)
    os.close(descriptor)


def by_handle(place: Path) -> None:
    with (place / "a").open("xb") as file:
        file.write(b"12")
        file.flush()
        os.fsync(file)
        file.truncate(1)


@pytest.mark.parametrize("write", [by_descriptor, by_handle])
def test_every_way_to_write_a_file_is_seen(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with FailingFiles(tmp_path) as files:
        write(tmp_path)
    assert kinds(files) == ["open", "write", "half a write", "fsync", "truncate"]
    assert tree(tmp_path) == {"a": b"1"}


def test_names_are_seen_whoever_changes_them(tmp_path: Path) -> None:
    with FailingFiles(tmp_path) as files:
        (tmp_path / "d" / "e").mkdir(parents=True)
        (tmp_path / "d" / "f").touch()
        (tmp_path / "d" / "f").rename(tmp_path / "d" / "g")
        (tmp_path / "h").symlink_to("d")
        (tmp_path / "h").unlink()
        shutil.rmtree(tmp_path / "d")
    assert kinds(files)[:6] == ["mkdir", "mkdir", "mkdir", "open", "rename", "link"]
    assert sorted(kinds(files)[6:]) == ["rmdir", "rmdir", "unlink", "unlink"]


def test_text_comes_out_as_it_went_in(tmp_path: Path) -> None:
    with FailingFiles(tmp_path), (tmp_path / "a").open("w+", encoding="utf-8", newline="\n") as file:
        file.write("é\n" * 9_000)
        file.seek(0)
        assert file.read() == "é\n" * 9_000


def test_a_file_elsewhere_is_let_through(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    with FailingFiles(tmp_path / "watched", at(0, OSError(errno.EIO, "broken"))) as files:
        (tmp_path / "a").write_bytes(b"1")
        (tmp_path / "a").read_bytes()
    assert files.operations == []


def test_a_fault_of_the_disk_happens_once_and_half_is_written(tmp_path: Path) -> None:
    with FailingFiles(tmp_path, at(2, OSError(errno.ENOSPC, "full"))):
        with pytest.raises(OSError, match="full"):
            (tmp_path / "a").write_bytes(b"1234")
        (tmp_path / "b").write_bytes(b"1234")
    assert tree(tmp_path) == {"a": b"12", "b": b"1234"}


def test_after_a_crash_nothing_happens_any_more(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with FailingFiles(tmp_path, at(0, Crashed())) as files:
        for _ in range(2):
            with pytest.raises(Crashed):
                (tmp_path / "a").unlink()
        with pytest.raises(Crashed):
            shutil.rmtree(tmp_path, ignore_errors=True)
        assert tree(tmp_path) == {"a": b"old"}
        files.restart()
        (tmp_path / "a").unlink()
    assert tree(tmp_path) == {}


def replace(place: Path, *, sync: bool) -> None:
    with (place / "new").open("xb") as file:
        file.write(b"new")
        file.flush()
        if sync:
            os.fsync(file.fileno())
    (place / "new").replace(place / "a")


@pytest.mark.parametrize(
    ("data", "names", "renames", "left"),
    [
        (True, False, "undone", {"a": b"old"}),
        (True, False, "kept", {"a": b"new"}),
        (False, False, "kept", {"a": b""}),
        (False, True, "undone", {"a": b""}),
        (True, True, "undone", {"a": b"new"}),
    ],
)
def test_power_loss_leaves_what_was_synced(
    tmp_path: Path, data: bool, names: bool, renames: str, left: dict[str, bytes]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "a").write_bytes(b"old")
    with FailingFiles(disk) as files:
        replace(disk, sync=data)
        if names:
            descriptor = os.open(disk, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        files.after_power_loss(tmp_path / "after", renames=renames)  # type: ignore[arg-type]
    assert tree(tmp_path / "after") == left


def test_what_was_removed_comes_back_and_what_was_made_is_gone(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "d").mkdir(parents=True)
    (disk / "d" / "a").write_bytes(b"1")
    (disk / "link").symlink_to("d")
    with FailingFiles(disk) as files:
        shutil.rmtree(disk / "d")
        (disk / "d").mkdir()  # perhaps with the inode of the one before
        (disk / "d" / "b").write_bytes(b"2")
        (disk / "link").unlink()
        files.after_power_loss(tmp_path / "after")
    assert tree(tmp_path / "after") == {"d/a": b"1"}
    assert (tmp_path / "after" / "link").readlink() == Path("d")
