"""Metrics are read whatever state their file is in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from puffer_report.columns import Columns, read_columns


def written(tmp_path: Path, text: str) -> Columns:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    return read_columns(path)


def test_a_key_that_comes_later_is_nan_before(tmp_path: Path) -> None:
    found = written(tmp_path, '{"step": 1, "a": 1}\n{"step": 2, "b": 2.5, "a": 3}\n{"step": 3, "a": null}\n')
    assert found.step.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found.get("a"), [1, 3, np.nan])
    np.testing.assert_array_equal(found.get("b"), [np.nan, 2.5, np.nan])


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    found = written(tmp_path, '{"step": 1, "a": 1}\n{"step": 2, "a": 2')
    assert found.step.tolist() == [1]
    assert found.damaged == 0


def test_damaged_lines_are_counted(tmp_path: Path) -> None:
    found = written(tmp_path, '{"step": 1, "a": 1}\n{"st\n[1]\n{"a": 4}\n{"step": 5, "a": 5}\n')
    assert found.step.tolist() == [1, 5]
    assert found.damaged == 3


def test_what_is_no_number_is_nan(tmp_path: Path) -> None:
    huge = "1" + "0" * 400
    found = written(tmp_path, f'{{"step": 1, "a": "x", "b": [1], "c": true, "d": {huge}, "e": NaN, "f": 1e999}}\n')
    assert [float(found.get(key)[0]) for key in "cf"] == [1.0, np.inf]
    assert np.isnan([found.get(key)[0] for key in "abde"]).all()


def test_there_may_be_nothing_yet(tmp_path: Path) -> None:
    assert len(read_columns(tmp_path / "metrics.jsonl").step) == 0
    assert len(written(tmp_path, "").elapsed) == 0


def test_time_goes_on_where_a_clock_begins_anew(tmp_path: Path) -> None:
    found = written(
        tmp_path, "".join(f'{{"step": {i}, "time/wall": {w}}}\n' for i, w in enumerate([1, 3, "null", 2, 5]))
    )
    np.testing.assert_array_equal(found.elapsed, [1, 3, np.nan, 5, 8])
