"""Environments by name, in any mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import PufferError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec, import_target
from puffer_core.vector import make_vector_env
from puffer_core.vector.gymnasium import resolve

MakeEnv = Callable[..., VectorEnv]


@pytest.fixture
def make_env(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeEnv]:
    """`make_env(name, options, **vector)`: a Gymnasium id, or a class of `process_envs.py`. Closes what it made."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with ExitStack() as stack:

        def make(name: str, options: dict[str, Any] | None = None, **vector: Any) -> VectorEnv:
            spec = resolve(name) if "-v" in name else described(name)
            assert spec is not None
            given = VectorConfig(**{"mode": "process", "num_envs": 4, **vector})
            env = make_vector_env(Provided(spec, "", ""), import_target(spec.target), options or {}, given)
            stack.callback(closed, env)
            return env

        yield make


def described(name: str) -> EnvSpec:
    target = name if ":" in name else f"process_envs:{name}"
    interface = "vector" if name in ("Remembering", "puffer_env_native.cartpole:CartPole.batch") else "gymnasium"
    return EnvSpec(name=name.rpartition(":")[2].lower(), summary="a test", target=target, interface=interface)  # type: ignore[arg-type]


def closed(env: VectorEnv) -> None:
    with suppress(PufferError):
        env.close()
