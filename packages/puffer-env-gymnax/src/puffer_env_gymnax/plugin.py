"""What this package registers: a family of environments, none by name."""

from __future__ import annotations

from importlib.util import find_spec

from puffer_core import EnvError, EnvSpec, hookimpl


@hookimpl
def puffer_resolve_env(id: str) -> EnvSpec | None:
    """gymnax:ID, such as gymnax:CartPole-v1 (pip install gymnax); gymnax:MODULE:ID imports MODULE first."""
    family, _, name = id.partition(":")
    if family != "gymnax" or not name:
        return None
    if find_spec("gymnax") is None:
        raise EnvError(f"{id}: the package gymnax is not installed", remedy="Install it: pip install gymnax")
    return EnvSpec(
        name=id,
        summary=f"gymnax's {name.rpartition(':')[2]}",
        target="puffer_env_gymnax.making:make",
        interface="device",
        backends=frozenset({"jax"}),
        capabilities=frozenset({"snapshot"}),
        arguments=(("env_id", name),),
    )
