"""What start-up imports. What it costs is printed by benchmarks/startup.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "numpy",
    "gymnasium",
    "pydantic",
    "tyro",
    "rich",
    "numba",
    "jaxtyping",
    "safetensors",
    "email.message",
)
REPORT = """
import sys
from puffer_core.cli.main import main
code = main({argv})
sys.stderr.write(" ".join(name for name in {heavy} if name in sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize(
    "argv", [["--help"], ["--version"], ["plugins", "list"], ["plugins", "show", "puffer-core"], ["envs", "--json"]]
)
def test_light_commands_import_nothing_heavy(argv: list[str]) -> None:
    """With every installed plugin: a plugin module that imports an engine is found out here."""
    ran = subprocess.run(
        [sys.executable, "-c", REPORT.format(argv=argv, heavy=HEAVY)], capture_output=True, text=True, check=False
    )
    assert (ran.stderr, ran.returncode) == ("", 0)
