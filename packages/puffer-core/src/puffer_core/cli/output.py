"""What listings print: aligned plain text for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, columns aligned, no colour: the same in a terminal, a pipe and a log.

    Example:
        >>> print_table(["NAME", "SUMMARY"], [["numpy", "the reference"]])
        NAME   SUMMARY
        numpy  the reference
    """
    for line in table_lines(header, rows):
        print(line)  # noqa: T201


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """What `print_table` prints.

    Example:
        >>> table_lines(["SEED", "RETURN"], [["0", "500"]])
        ['SEED  RETURN', '0     500']
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def print_json(value: Any) -> None:
    """Print a JSON value, readable in every encoding.

    Example:
        >>> print_json({"a": 1})
        {
          "a": 1
        }
    """
    import json

    print(json.dumps(value, indent=2))  # noqa: T201


def size_text(size: int) -> str:
    """Bytes for people.

    Example:
        >>> size_text(999), size_text(1_500), size_text(12_345_678_901)
        ('999 B', '1.5 kB', '12.3 GB')
    """
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{size} B"
        value /= 1000
    return f"{value:.1f} TB"
