"""dev.py: one script that makes the environment it needs, once, and becomes the tool."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "dev.py"


@pytest.fixture
def dev(tmp_path: Path) -> ModuleType:
    """dev.py as a module, in a checkout of its own with one package and an empty constraints.txt."""
    shutil.copy(SCRIPT, tmp_path)
    (tmp_path / "constraints.txt").write_text("")
    project = tmp_path / "packages" / "one" / "pyproject.toml"
    project.parent.mkdir(parents=True)
    project.write_text('[project]\nname = "one"\n')
    spec = importlib.util.spec_from_file_location("dev_in_a_copy", tmp_path / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bare_venv(dev: ModuleType) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(dev.VENV)], check=True)


@pytest.fixture
def installs(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `prepare` asks to be installed; nothing is, and the environment is a bare one."""
    asked: list[str] = []
    monkeypatch.setattr(dev, "install", asked.append)
    monkeypatch.setattr(dev, "make_venv", lambda: bare_venv(dev))
    return asked


def test_is_short_and_needs_the_standard_library_only() -> None:
    source = SCRIPT.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_an_older_python_is_told_which_one_is_needed() -> None:
    pretend = f"import sys, runpy; sys.version_info = (3, 10, 4, 'final', 0); runpy.run_path({str(SCRIPT)!r})"
    done = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "dev.py needs Python 3.11 or newer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_syntax_that_older_pythons_read() -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("arguments", [[], ["pufer"], ["--help"]])
def test_an_unknown_tool_is_told_which_there_are(
    dev: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dev.main(arguments) == 2
    assert "TOOL is `puffer`" in capsys.readouterr().err
    assert not dev.VENV.exists()


def test_installs_once(dev: ModuleType, installs: list[str]) -> None:
    dev.prepare("packages")
    dev.prepare("packages")
    assert installs == ["packages"]


def test_each_tool_has_its_own_needs(dev: ModuleType, installs: list[str]) -> None:
    dev.prepare("nox")
    dev.prepare("packages")
    dev.prepare("nox")
    assert installs == ["nox", "packages"]


@pytest.mark.parametrize("file", ["constraints.txt", "packages/one/pyproject.toml"])
def test_installs_again_when_a_file_that_decides_it_changed(dev: ModuleType, installs: list[str], file: str) -> None:
    dev.prepare("packages")
    with (dev.ROOT / file).open("a") as opened:
        opened.write("# changed\n")
    dev.prepare("packages")
    assert installs == ["packages", "packages"]


def test_installs_again_when_a_package_came(dev: ModuleType, installs: list[str]) -> None:
    dev.prepare("packages")
    shutil.copytree(dev.ROOT / "packages" / "one", dev.ROOT / "packages" / "two")
    dev.prepare("packages")
    assert installs == ["packages", "packages"]


def test_an_install_that_failed_is_tried_again(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(what: str) -> None:
        dev.follow([sys.executable, "-c", "print('no such distribution'); raise SystemExit(1)"])

    monkeypatch.setattr(dev, "make_venv", lambda: bare_venv(dev))
    monkeypatch.setattr(dev, "install", fail)
    for _ in range(2):
        with pytest.raises(SystemExit, match="no such distribution"):
            dev.prepare("packages")


def test_a_checkout_that_moved_gets_a_new_environment(dev: ModuleType, installs: list[str]) -> None:
    dev.prepare("packages")
    (dev.VENV / ".made-with").write_text("another Python, or another place")
    (dev.VENV / "left over").touch()
    dev.prepare("packages")
    assert installs == ["packages", "packages"]
    assert not (dev.VENV / "left over").exists()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
def test_without_ensurepip_this_pythons_pip_installs(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *--without-pip*) exec {sys.executable} "$@";; *) exit 1;; esac\n')
    python.chmod(0o755)
    commands: list[list[str]] = []
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(dev, "follow", commands.append)
    dev.make_venv()
    dev.install("packages")
    assert dev.PYTHON.exists()
    assert commands[0][:5] == [str(python), "-m", "pip", "--python", str(dev.PYTHON)]
    assert commands[1][-1] == f"--editable={dev.ROOT / 'packages' / 'one'}"


def test_becomes_the_tool_and_says_nothing_the_second_time(dev: ModuleType, installs: list[str]) -> None:
    dev.prepare("packages")
    command = [sys.executable, str(dev.ROOT / "dev.py"), "python", "-c", "print('here'); raise SystemExit(7)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "here\n", "")
