"""The table of docs/reliability.md, made from docs/reliability.json: `python page.py` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[4] / "docs"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| id | fault | expected | injected | failures | worst, s |", "|---|---|---|---:|---:|---:|"]
    for row in rows:
        worst = f"{row['worst_seconds']:.2f}" if row["worst_seconds"] else ""
        cells = (row["id"], row["what"], row["expected"], row["injected"], row["failures"], worst)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def split(page: str) -> tuple[str, str, str]:
    """What stands before, in, and after the table."""
    head, _, rest = page.partition(BEGIN)
    made, _, tail = rest.partition(END)
    return head, made, tail


def write() -> None:
    rows = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    page = DOCS / "reliability.md"
    head, _, tail = split(page.read_text(encoding="utf-8"))
    page.write_text(f"{head}{BEGIN}{table(rows)}{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    write()
