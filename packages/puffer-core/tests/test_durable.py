from __future__ import annotations

from pathlib import Path

import pytest

from puffer_core.durable import append_line, json_bytes, parse_json, replace_file, write_file


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", b"old")
    replace_file(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_a_failed_replacement_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").touch()
    with pytest.raises(OSError, match="a"):
        replace_file(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_new_file_never_overwrites(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "a", b"2")


def test_json_is_the_standards() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        json_bytes(float("nan"))
    assert parse_json(json_bytes({"é": [1, None]})) == {"é": [1, None]}


def test_a_line_is_added_and_one_that_was_cut_short_is_ended_first(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    append_line(file, b"one")
    append_line(file, b"two")
    assert file.read_bytes() == b"one\ntwo\n"
    file.write_bytes(b"one\ntw")
    append_line(file, b"three")
    assert file.read_bytes() == b"one\ntw\nthree\n"
