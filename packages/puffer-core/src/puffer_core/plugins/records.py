"""What the plugin host knows: kinds of component, a record for each plugin, provenance for each component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from puffer_core.specs import (
    BackendSpec,
    CheckpointableSpec,
    CommandSpec,
    EnvSpec,
    LoggerSpec,
    PolicySpec,
    Spec,
    TrainerSpec,
)

CORE = "puffer-core"

FIRST_PARTY = frozenset(
    {
        CORE,
        "puffer-backend-jax",
        "puffer-backend-onnx",
        "puffer-backend-torch",
        "puffer-env-gymnax",
        "puffer-env-native",
        "puffer-env-pettingzoo",
        "puffer-logger-tensorboard",
        "puffer-logger-wandb",
        "puffer-policies",
        "puffer-ppo",
        "puffer-report",
        "puffer-testing",
    }
)
"""Distributions of this repository, by exact normalised name; every other one is third party.

A name is what pip installed under it: the list tells faults apart, it is no security boundary.
"""

RESERVED_COMMANDS = frozenset(
    {"backends", "bench", "checkpoints", "envs", "eval", "export", "loggers", "plugins", "policies", "resume", "runs"}
    | {"train", "trainers"},
)
"""Subcommands of the core: a plugin's command of the same name is reached as `name@distribution` only."""

Status: TypeAlias = Literal["ok", "disabled", "incompatible", "broken", "conflict"]


KINDS: dict[str, tuple[str, type[Spec]]] = {
    "env": ("puffer_envs", EnvSpec),
    "policy": ("puffer_policies", PolicySpec),
    "trainer": ("puffer_trainers", TrainerSpec),
    "backend": ("puffer_backends", BackendSpec),
    "logger": ("puffer_loggers", LoggerSpec),
    "checkpointable": ("puffer_checkpointables", CheckpointableSpec),
    "command": ("puffer_commands", CommandSpec),
}
"""Kinds of component: the hook that registers each, and the class of what that hook returns."""


@dataclass(frozen=True)
class Provided:
    """A registered component and who provides it.

    Args:
        spec: what the plugin registered.
        distribution: normalised name of the distribution; empty for a `py:` target.
        version: of that distribution; empty likewise.

    Example:
        >>> mine = Provided(TrainerSpec(name="mine", summary="mine", target="mine:Mine"), "puffer-mine", "1.0")
        >>> mine.label
        'trainer mine of puffer-mine 1.0'
    """

    spec: Spec
    distribution: str
    version: str

    @property
    def provider(self) -> str:
        """`distribution version`, or `-` for a `py:` target."""
        return f"{self.distribution} {self.version}" if self.distribution else "-"

    @property
    def label(self) -> str:
        """How a message names it."""
        if not self.distribution:
            return f"{self.spec.KIND} py:{self.spec.target}"
        return f"{self.spec.KIND} {self.spec.name} of {self.provider}"


@dataclass(frozen=True)
class PluginRecord:
    """One installed plugin and what became of it.

    Args:
        name: normalised name of its distribution, which is the plugin's identity.
        version: of the distribution; empty where its metadata does not say.
        status: `ok`; `disabled` (blocked before import); `incompatible` (written for another version of the
            contracts); `broken` (failed at import or registration); `conflict` (usable, but a name it provides
            is provided by another plugin too, so that name needs `@distribution`).
        reason: one line that explains any status but `ok`.
        module: what its entry point names.
        provides: names by kind; empty unless the plugin is usable.
        summary: the distribution's one-line description.
        requires: its requirements, as its metadata states them.
        entries: names of its entry points.
        hooks: the hooks it implements.
        detail: traceback of the failure; empty if there was none.
    """

    name: str
    version: str
    status: Status
    reason: str = ""
    module: str = ""
    provides: Mapping[str, list[str]] = field(default_factory=dict)
    summary: str = ""
    requires: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    detail: str = ""

    @property
    def usable(self) -> bool:
        """Whether what it provides can be used."""
        return self.status in ("ok", "conflict")
