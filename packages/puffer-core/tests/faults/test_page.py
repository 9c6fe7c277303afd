"""docs/reliability.md says what docs/reliability.json says, and that nothing failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puffer_testing.loading import load_module

DOCS = Path(__file__).parents[4] / "docs"


@pytest.fixture
def page() -> Any:
    return load_module(Path(__file__).with_name("page.py"), "puffer_core_faults_page")


def test_the_page_and_the_figures_agree(page: Any) -> None:
    rows = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    _, table, _ = page.split((DOCS / "reliability.md").read_text(encoding="utf-8"))
    assert table == page.table(rows)


def test_every_fault_of_env_workers_was_injected_and_none_failed() -> None:
    rows = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    assert {row["id"] for row in rows} >= {f"W{number}" for number in range(1, 10)}
    assert [row for row in rows if row["failures"] or not row["injected"]] == []


def test_the_table_can_be_made_from_any_rows(page: Any) -> None:
    row = {"id": "W1", "what": "kill", "expected": "back", "injected": 3, "failures": 0, "worst_seconds": 0.5}
    assert page.table([row]).endswith("| W1 | kill | back | 3 | 0 | 0.50 |\n")
