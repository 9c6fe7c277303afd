"""What this package registers: families of environments, none by name."""

from __future__ import annotations

from puffer_core import EnvSpec, hookimpl


@hookimpl
def puffer_resolve_env(id: str) -> EnvSpec | None:
    """pettingzoo:ID, mpe2:ID, or the name of such an env alone; agents:ID, a Gymnasium env of several agents."""
    from puffer_env_pettingzoo.names import resolve  # imports what only an id that nobody registered needs

    return resolve(id)
