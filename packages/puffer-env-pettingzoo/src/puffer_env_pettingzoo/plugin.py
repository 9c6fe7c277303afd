"""What this package registers: families of environments, none by name."""

from __future__ import annotations

from puffer_core import EnvSpec, hookimpl


@hookimpl
def puffer_resolve_env(id: str) -> EnvSpec | None:
    """`pettingzoo:...`, `mpe2:...`, `agents:...`, and the bare name of an installed PettingZoo or MPE2 env."""
    from puffer_env_pettingzoo.names import resolve  # imports what only an id that nobody registered needs

    return resolve(id)
