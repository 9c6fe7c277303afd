"""What the package registers, and how light that is."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import puffer_report
from puffer_core.specs import import_target
from puffer_report import plugin
from puffer_report.command import main


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="puffer.plugins", name="report")
    assert entry.load() is plugin


def test_the_target_is_the_command() -> None:
    (spec,) = plugin.puffer_commands()
    assert spec.name == "report"
    assert import_target(spec.target) is main


def test_the_public_name_is_there() -> None:
    assert callable(puffer_report.write_report)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, puffer_report.plugin, puffer_report.command;"
        "print(sorted({'plotly', 'scipy', 'jinja2', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
