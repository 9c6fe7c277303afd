"""What the package registers, and how light that is."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import puffer_logger_tensorboard
from puffer_core.specs import import_target
from puffer_logger_tensorboard import plugin
from puffer_logger_tensorboard.config import TensorBoardConfig

README = Path(__file__).parents[1] / "README.md"


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="puffer.plugins", name="tensorboard")
    assert entry.load() is plugin


def test_targets_are_the_public_names() -> None:
    (spec,) = plugin.puffer_loggers()
    assert spec.capabilities == {"artifacts"}
    assert import_target(spec.target) is puffer_logger_tensorboard.TensorBoardLogger
    assert import_target(spec.config) is puffer_logger_tensorboard.TensorBoardConfig


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, puffer_logger_tensorboard.plugin;"
        "print(sorted({'tensorboard', 'google.protobuf', 'PIL', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_neither_torch_nor_tensorflow_is_imported() -> None:
    code = (
        "import sys, types; sys.modules['tensorflow'] = sys.modules['torch'] = None;"
        "from puffer_logger_tensorboard import TensorBoardLogger;"
        "print(TensorBoardLogger.__name__, 'tensorboard.main' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["TensorBoardLogger", "False"]


def test_the_readme_has_every_option_with_its_default() -> None:
    options = README.read_text(encoding="utf-8").split("## Options")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", options, re.M))
    defaults = {
        name: str(field.default).lower().removesuffix(".0") for name, field in TensorBoardConfig.model_fields.items()
    }
    assert rows == defaults
