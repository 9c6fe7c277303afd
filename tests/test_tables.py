"""docs/reliability.md and docs/learning.md say what the figures beside them say, and that nothing failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puffer_testing.loading import load_module

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def tables() -> Any:
    return load_module(DOCS / "tables.py", "docs_tables")


@pytest.mark.parametrize("name", ["reliability", "learning"])
def test_a_page_and_its_figures_agree(tables: Any, name: str) -> None:
    _, table, _ = tables.split((DOCS / f"{name}.md").read_text(encoding="utf-8"))
    assert table == tables.made(name), "run: python docs/tables.py"


def test_every_fault_was_injected_and_none_failed() -> None:
    rows = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    families = {"W": 9, "C": 18, "N": 3, "L": 6, "K": 3, "E": 4}
    assert {row["id"] for row in rows} >= {
        f"{letter}{i + 1}" for letter, count in families.items() for i in range(count)
    }
    assert [row for row in rows if row["failures"] or not row["injected"]] == []


def test_a_fault_is_a_line(tables: Any) -> None:
    row = {"id": "W1", "what": "kill", "expected": "back", "injected": 3, "failures": 0, "worst_seconds": 0.5}
    assert tables.reliability([row]).endswith("| W1 | kill | back | 3 | 0 | 0.50 |\n")


def test_the_seeds_of_a_command_are_a_line(tables: Any) -> None:
    row = {"command": "puffer train ppo cartpole", "env": "cartpole", "seed": 0, "steps": 1000, "mean_return": 500.0}
    rows = [row, row | {"seed": 1, "mean_return": 9.5}]
    assert tables.learning(rows).endswith("| `puffer train ppo cartpole` | 1,000 | 0, 1 | 500, 9.5 |  |\n")
