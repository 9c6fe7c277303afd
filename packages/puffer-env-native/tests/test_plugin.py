"""What the package registers, and how light that is."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from puffer_core.specs import import_target
from puffer_env_native import plugin

NAMES = [
    "acrobot",
    "cartpole",
    "gridworld",
    "gridworld-masked",
    "mountain_car",
    "mountain_car_continuous",
    "pendulum",
    "probe-action-reward",
    "probe-constant-reward",
    "probe-observation-reward",
]


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="puffer.plugins", name="native")
    assert entry.load() is plugin


def test_every_env_is_registered() -> None:
    assert sorted(spec.name for spec in plugin.puffer_envs()) == NAMES


@pytest.mark.parametrize("spec", plugin.puffer_envs(), ids=lambda spec: spec.name)
def test_each_target_gives_a_batch(spec: object) -> None:
    env = import_target(spec.target)(2)
    assert env.spec.rows == 2
    assert env.spec.snapshot is ("snapshot" in spec.capabilities)
    assert env.spec.action_mask is ("action-mask" in spec.capabilities)


def test_the_plugin_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, puffer_env_native.plugin as p; p.puffer_envs();"
        "print(sorted({'numpy', 'numba', 'llvmlite', 'gymnasium'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import puffer_env_native

    with pytest.raises(AttributeError, match="Float31"):
        _ = puffer_env_native.Float31
