"""What README and docs show is true: Python examples run, command lines parse, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from puffer_core.cli.main import main
from puffer_core.config import resolve
from puffer_core.plugins import PluginHost

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "packages/*/*.md", "examples/*/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
EXAMPLES = Sybil([PythonCodeBlockParser(), SkipParser()], pattern="*.md")
CHECKPOINT_ERROR = 4
"""What `puffer eval RUN` ends with when everything about it is right but that there is no such run."""

SHORT = {("envs", "check"): ("--steps", "20"), ("bench",): ("--seconds", "0.1")}
"""Flags that spare commands which show that they work in seconds from doing so for longer."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(path: Path, program: str) -> Iterator[str]:
    """Lines of shell blocks that start with the program."""
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            line = re.sub(r"\s{2,}#.*$", "", line).removeprefix("$ ").removeprefix("PYTHONPATH=. ").strip()
            if line.startswith(program + " "):
                yield line.removeprefix(program + " ")


def every_command(program: str) -> list[object]:
    """Each command line once, by the first document that shows it."""
    shown: dict[str, str] = {}
    for path in DOCUMENTS:
        for line in commands(path, program):
            shown.setdefault(line, name(path))
    return [pytest.param(line, id=f"{where}: {line}") for line, where in shown.items()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reader's working directory, with the files that documents show: blocks that begin with `# NAME.py`."""
    shown = {
        module: block
        for path in DOCUMENTS
        for block, module in re.findall(
            r"^```python\n(# (\w+)\.py\n.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S
        )
    }
    for module, block in shown.items():
        (tmp_path / f"{module}.py").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in shown:
        sys.modules.pop(module, None)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
@pytest.mark.usefixtures("folder")
def test_python_examples_run(path: Path) -> None:
    examples = list(EXAMPLES.parse(path).examples())
    if "puffer_core.train(" in path.read_text(encoding="utf-8"):
        # In a process without the checks of shapes and the measuring of coverage, which take most of training's time.
        code = "\n".join(example.parsed for example in examples)
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize("line", [*every_command("puffer"), *every_command("python3 dev.py puffer")])
@pytest.mark.usefixtures("folder")
def test_command_lines_parse(line: str) -> None:
    argv = shlex.split(line)
    if argv[0] == "train" and "--help" not in argv:
        trainer, source, *options = argv[1:]
        assert resolve(PluginHost.discover(), trainer, source, argv=options, environ={}).source == source
    else:
        short = next((flags for words, flags in SHORT.items() if argv[: len(words)] == list(words)), ())
        assert main([*argv, *short]) in {0, CHECKPOINT_ERROR}


def test_nox_sessions_that_documents_name_exist() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "--list", "--noxfile", str(ROOT / "noxfile.py")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sessions = set(re.findall(r"^[*-] (\S+)", listed.stdout, re.M))
    named = set()
    for path in DOCUMENTS:
        for words in re.findall(r"nox -s ([\w -]+)", path.read_text(encoding="utf-8")):
            named |= set(re.split(" --|  ", words)[0].split())
    assert named
    assert named <= sessions | {"NAME"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)\)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
