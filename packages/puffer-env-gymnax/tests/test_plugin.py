"""What the package registers, and how light that is."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from puffer_core.errors import EnvError
from puffer_env_gymnax import plugin


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="puffer.plugins", name="gymnax")
    assert entry.load() is plugin


def test_an_id_of_the_family_is_a_device_env_of_jax() -> None:
    spec = plugin.puffer_resolve_env("gymnax:CartPole-v1")
    assert spec is not None
    assert (spec.interface, spec.backends, spec.arguments) == ("device", {"jax"}, (("env_id", "CartPole-v1"),))


@pytest.mark.parametrize("id", ["cartpole", "CartPole-v1", "gymnasium:CartPole-v1", "gymnax", "gymnax:"])
def test_other_ids_are_left_to_others(id: str) -> None:
    assert plugin.puffer_resolve_env(id) is None


def test_where_gymnax_is_missing_the_command_is_said(monkeypatch) -> None:
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    with pytest.raises(EnvError) as caught:
        plugin.puffer_resolve_env("gymnax:CartPole-v1")
    assert "pip install gymnax" in str(caught.value)


def test_resolving_imports_nothing_heavy() -> None:
    code = (
        "import sys, puffer_env_gymnax.plugin as p; p.puffer_resolve_env('gymnax:CartPole-v1');"
        "print(sorted({'numpy', 'gymnasium', 'jax', 'gymnax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there() -> None:
    import puffer_env_gymnax

    assert [getattr(puffer_env_gymnax, name).__name__ for name in puffer_env_gymnax.__all__] == ["GymnaxEnv", "make"]
