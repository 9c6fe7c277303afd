"""What holds for the repository as a whole: pins, packages, licences, and that nothing points at one machine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(file.parent for file in ROOT.glob("packages/*/pyproject.toml"))


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project(package: Path) -> dict[str, Any]:
    return tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_constraints_are_exact_and_sorted() -> None:
    names = [plain(name) for name in pins()]
    assert names == sorted(names)
    assert pins()["torch"] == "2.13.0"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_dependency_is_pinned(package: Path) -> None:
    known = {plain(name) for name in pins()} | {path.name for path in PACKAGES}
    needed = {plain(re.split(r"[ ><=!~\[;]", requirement)[0]) for requirement in project(package)["dependencies"]}
    assert needed <= known


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_package_has_the_same_rooms(package: Path) -> None:
    module = package / "src" / package.name.replace("-", "_")
    for file in (module / "__init__.py", module / "py.typed", package / "README.md", package / "CHANGELOG.md"):
        assert file.is_file(), file
    assert project(package)["requires-python"] == ">=3.11"
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_pre_commit_uses_the_pinned_ruff() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==([\d.]+)", hooks)) == {pins()["ruff"]}


@pytest.mark.parametrize("file", sorted(ROOT.glob("benchmarks/requirements-*.txt")), ids=lambda path: path.stem)
def test_peers_run_on_our_numpy_gymnasium_and_engines(file: Path) -> None:
    theirs = dict(line.split("==") for line in file.read_text(encoding="utf-8").split())
    shared = {"numpy", "gymnasium", "torch", "jax"} & set(theirs)
    assert shared >= ({"numpy", "jax"} if "jax" in theirs else {"numpy", "gymnasium"})
    assert {name: theirs[name] for name in shared} == {name: pins()[name] for name in shared}


def test_every_package_is_checked_by_import_linter_and_coverage() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    modules = {package.name.replace("-", "_") for package in PACKAGES}
    assert set(tools["importlinter"]["root_packages"]) == modules
    assert set(tools["coverage"]["run"]["source_dirs"]) == {f"packages/{package.name}/src" for package in PACKAGES}


def test_no_file_names_an_index_or_a_place_on_one_machine() -> None:
    hosts = ("pypi.org", "pythonhosted.org", "registry.npmjs.org", "deb.debian.org", "download.pytorch.org")
    # This checkout, the interpreter's environment and its user's home; `/` and the like say nothing.
    here = {str(path) for path in (ROOT, Path(sys.prefix), Path.home()) if len(str(path)) > 3}
    places = [rf"(?<![\w.:-]){re.escape(place)}(?![\w-])" for place in sorted(here)]
    forbidden = re.compile("|".join([r"--(extra-)?index-url", *map(re.escape, hosts), r"/home/\w|C:\\Users", *places]))
    named = []
    for file in tracked():
        text = file.read_text(encoding="utf-8", errors="ignore")
        named += [f"{file.relative_to(ROOT)}: {match[0]}" for match in forbidden.finditer(text)]
    assert [line for line in named if "test_repository" not in line] == []
