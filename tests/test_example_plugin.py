"""The example plugin as its author has it: outside the repository, installed into an environment without PyTorch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = ("puffer-core", "puffer-policies", "puffer-env-native", "puffer-testing")
EXAMPLE = ROOT / "examples" / "plugin-random-search"
RETURN = 200.0
"""What training must reach; who pushes the cart at random gets about 20. The README says what six seeds reached."""

pytestmark = pytest.mark.slow


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(names: Iterable[str]) -> set[str]:
    """Third-party distributions that these need, directly or through another."""
    found: set[str] = set()
    ahead = [plain(name) for name in names]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        found.add(name)
        needs = map(Requirement, distribution(name).requires or ())
        ahead += [plain(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return found - set(PACKAGES)


def link(names: Iterable[str], site: Path) -> None:
    """Distributions of the running environment, seen from another: nothing is copied or downloaded."""
    for name in names:
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            target = site / top
            if not target.exists():
                target.symlink_to(Path(str(found.locate_file(top))))


class Environment:
    """A fresh virtual environment, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        link(required([*PACKAGES, "hatchling"]), site)

    def __call__(self, *command: str | Path) -> str:
        """Run a program of this environment; gives what it printed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PUFFER", "PYTHON"))}
        variables = {**inherited, "OMP_NUM_THREADS": "1", "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}
        program = [str(self.bin / command[0]), *map(str, command[1:])]
        done = subprocess.run(program, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The plugin's own folder, copied out of the checkout, installed with all that it declares. No index is asked."""
    environment = Environment(tmp_path_factory.mktemp("author"))
    plugin = environment.folder / EXAMPLE.name
    shutil.copytree(EXAMPLE, plugin, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    pip = [sys.executable, "-m", "pip", "--python", environment.bin / "python", "install", "-q", "--no-index"]
    sources = [ROOT / "packages" / name for name in PACKAGES]
    subprocess.run([*pip, "--no-build-isolation", *sources, f"{plugin}[test]"], check=True)
    return environment


def test_it_is_listed(environment: Environment) -> None:
    plugins = {plugin["name"]: plugin for plugin in json.loads(environment("puffer", "plugins", "list", "--json"))}
    assert plugins["puffer-random-search"]["status"] == "ok"
    trainers = {trainer["name"]: trainer for trainer in json.loads(environment("puffer", "trainers", "--json"))}
    assert set(trainers) == {"random-search"}


def test_its_own_tests_pass(environment: Environment) -> None:
    environment("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE.name)


def test_what_its_readme_says_works(environment: Environment) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    puffer (.+)$", readme, re.M)
    assert len(commands) >= 4
    printed = [environment("puffer", *command.split()) for command in commands]
    (evaluated,) = [text for command, text in zip(commands, printed, strict=True) if command.startswith("eval")]
    assert json.loads(evaluated)["mean_return"] >= RETURN


def test_what_its_readme_shows_is_its_source() -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    files = [path for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml"}]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    shown = re.findall(r"^```(?:py|toml)\n(.*?)^```", readme, re.M | re.S)
    assert shown
    for block in shown:
        for part in re.split(r"^ *\.\.\.\n", block, flags=re.M):
            assert part.strip() in sources


def test_its_trainer_is_short() -> None:
    trainer = EXAMPLE / "src" / "puffer_random_search" / "trainer.py"
    assert len(trainer.read_text(encoding="utf-8").splitlines()) <= 80
