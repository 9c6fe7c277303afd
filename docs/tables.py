"""The tables of reliability.md and learning.md, from the JSON files of figures beside them: `python docs/tables.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"

Rows = list[dict[str, Any]]


def reliability(rows: Rows) -> str:
    """Each fault and how often it was injected."""
    lines = ["| id | fault | expected | injected | failures | worst, s |", "|---|---|---|---:|---:|---:|"]
    for row in rows:
        worst = f"{row['worst_seconds']:.2f}" if row["worst_seconds"] else ""
        lines.append(_line(row["id"], row["what"], row["expected"], row["injected"], row["failures"], worst))
    return "".join(f"{line}\n" for line in lines)


def learning(rows: Rows) -> str:
    """Each command and the returns of its seeds."""
    lines = ["| command | steps | seeds | mean return of each | random |", "|---|---:|---|---|---:|"]
    by_command: dict[str, Rows] = {}
    for row in rows:
        by_command.setdefault(row["command"], []).append(row)
    for command, runs in by_command.items():
        seeds = ", ".join(str(run["seed"]) for run in runs)
        returns = ", ".join(f"{run['mean_return']:g}" for run in runs)
        random = runs[0].get("random_return")
        chance = "" if random is None else f"{random:g}"
        lines.append(_line(f"`{command}`", f"{runs[0]['steps']:,}", seeds, returns, chance))
    return "".join(f"{line}\n" for line in lines)


TABLES = {"reliability": reliability, "learning": learning}


def made(name: str) -> str:
    """The table of a page, as its figures are now."""
    return TABLES[name](json.loads((DOCS / f"{name}.json").read_text(encoding="utf-8")))


def split(page: str) -> tuple[str, str, str]:
    """What stands before, in, and after the table."""
    head, _, rest = page.partition(BEGIN)
    table, _, tail = rest.partition(END)
    return head, table, tail


def write() -> None:
    for name in TABLES:
        page = DOCS / f"{name}.md"
        head, _, tail = split(page.read_text(encoding="utf-8"))
        page.write_text(f"{head}{BEGIN}{made(name)}{END}{tail}", encoding="utf-8")


def _line(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    write()
