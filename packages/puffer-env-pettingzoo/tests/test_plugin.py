"""What the package registers, and how light that is."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from puffer_core.specs import import_target
from puffer_env_pettingzoo import plugin


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="puffer.plugins", name="pettingzoo")
    assert entry.load() is plugin


@pytest.mark.parametrize("id", ["simple_spread_v3", "agents:rware:rware-tiny-2ag-v2"])
def test_the_target_gives_a_batch(id: str) -> None:
    spec = plugin.puffer_resolve_env(id)
    assert spec is not None
    env = import_target(spec.target)(2, **dict(spec.arguments))
    assert env.spec.num_envs == 2
    assert len(env.spec.agents) > 1
    env.close()


@pytest.mark.parametrize("id", ["cartpole", "simple_spread_v3"])
def test_resolving_imports_nothing_heavy(id: str) -> None:
    code = (
        f"import sys, puffer_env_pettingzoo.plugin as p; p.puffer_resolve_env({id!r});"
        "print(sorted({'numpy', 'gymnasium', 'pettingzoo', 'mpe2', 'pygame'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there() -> None:
    import puffer_env_pettingzoo

    assert [getattr(puffer_env_pettingzoo, name).__name__ for name in puffer_env_pettingzoo.__all__] == [
        "AgentsVectorEnv",
        "make",
        "make_tuple",
    ]
