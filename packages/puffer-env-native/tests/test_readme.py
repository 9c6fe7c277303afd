"""The README's code runs, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 5
    readme = ModuleType("readme")
    monkeypatch.setitem(__import__("sys").modules, "readme", readme)
    for block in blocks:
        exec(compile(block, str(README), "exec"), readme.__dict__)
    assert readme.Corridor.__module__ == "readme"
