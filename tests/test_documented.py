"""Nothing public is undocumented: every hook with its exact arguments, every name with an example that runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import puffer_core
from puffer_core import hookspecs
from puffer_core.composites import ComposedOps
from puffer_core.contracts.ops import Ops

ROOT = Path(__file__).parent.parent
BACKENDS = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("puffer_")}
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
EXAMPLES = "\n".join(
    block
    for page in PAGES
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_arguments(name: str) -> None:
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)
    assert f"\n### `{name}({arguments})`\n" in PLUGINS


def test_no_hook_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^### `(\w+)\(", PLUGINS, re.M)) == set(HOOKS)


@pytest.mark.parametrize("name", puffer_core.__all__)
def test_every_public_name_has_a_docstring_and_an_example(name: str) -> None:
    public = getattr(puffer_core, name)
    assert inspect.getdoc(public), f"puffer_core.{name} has no docstring"
    in_docstring = ">>>" in (public.__doc__ or "")
    assert in_docstring or re.search(rf"\b{name}\b", EXAMPLES), f"no example shows puffer_core.{name}"


def test_every_contract_has_its_page() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "contracts").glob("*.md")}
    assert pages == {"backend", "checkpointable", "env", "metric-logger", "policy", "trainer"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "contracts").glob("*.md")), ids=lambda page: page.stem)
def test_every_page_of_a_contract_answers_the_same_questions(page: Path) -> None:
    headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.M)
    assert headings == ["Who calls it, when", "What it owns", "What it guarantees", "Example", "Check it"]


def test_a_new_backend_is_told_which_ops_are_its_own() -> None:
    composed = {name for name in vars(ComposedOps) if name[0] != "_"}
    ops = {name for name in vars(Ops) if name[0] != "_"} | Ops.__annotations__.keys() - {"name"}
    section = BACKENDS.split("## What an engine has to write")[1].split("\n## ")[0]
    primitives, composites = map(_second_column, section.split("| composites |"))
    assert primitives == ops - composed | {"value_and_grad", "stop_gradient", "NumpyDtypes"}
    assert composites - {"FormulaOptimizer"} == composed


def test_the_map_of_the_core_names_every_room() -> None:
    core = ROOT / "packages" / "puffer-core"
    source = core / "src" / "puffer_core"
    modules = {path.name for path in source.glob("[!_]*.py")}
    packages = {f"{path.parent.name}/" for path in source.glob("*/__init__.py")}
    table = (core / "README.md").read_text(encoding="utf-8").split("## Where things are")[1].split("\n## ")[0]
    named = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w.]+/?)`", named)) == modules | packages


def _second_column(table: str) -> set[str]:
    """The names in it, without the modules that they are in."""
    rows = [row.split("|") for row in table.splitlines() if row.startswith("|")]
    return {name for row in rows for name in re.findall(r"`(?:\w+\.)*(\w+)`", row[2])}
