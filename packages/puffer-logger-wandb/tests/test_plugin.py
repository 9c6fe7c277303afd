"""What the package registers, and how light that is."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

from puffer_core.specs import import_target
from puffer_logger_wandb import plugin


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="puffer.plugins", name="wandb")
    assert entry.load() is plugin


def test_its_targets_are_the_public_names() -> None:
    import puffer_logger_wandb

    (spec,) = plugin.puffer_loggers()
    targets = [import_target(spec.config), import_target(spec.target)]
    assert targets == [getattr(puffer_logger_wandb, name) for name in puffer_logger_wandb.__all__]
    assert spec.capabilities == {"artifacts"}


def test_wandb_is_imported_by_a_run_alone() -> None:
    code = "import sys, puffer_logger_wandb as p; p.WandbLogger(p.WandbConfig()); print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
