"""The hooks of Puffer, as pluggy hookspecs: eight that register components, five that report events.

A plugin is one light module behind an entry point of the group `puffer.plugins`. It implements whichever
hooks it needs with `@hookimpl`, and imports nothing heavy at module level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from puffer_core.contracts.logger import RunInfo
    from puffer_core.specs import (
        BackendSpec,
        CheckpointableSpec,
        CommandSpec,
        EnvSpec,
        LoggerSpec,
        PolicySpec,
        TrainerSpec,
    )

PROJECT = "puffer"
ENTRY_POINT_GROUP = "puffer.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- registration: return descriptions, import nothing -------------------------------------------------


@hookspec
def puffer_envs() -> Sequence[EnvSpec]:  # type: ignore[empty-body]
    """Environments that this plugin provides by name."""


@hookspec
def puffer_policies() -> Sequence[PolicySpec]:  # type: ignore[empty-body]
    """Policies that this plugin provides."""


@hookspec
def puffer_trainers() -> Sequence[TrainerSpec]:  # type: ignore[empty-body]
    """Trainers that this plugin provides; each becomes a `puffer train NAME`."""


@hookspec
def puffer_backends() -> Sequence[BackendSpec]:  # type: ignore[empty-body]
    """Engines that this plugin provides."""


@hookspec
def puffer_loggers() -> Sequence[LoggerSpec]:  # type: ignore[empty-body]
    """Metric loggers that this plugin provides."""


@hookspec
def puffer_checkpointables() -> Sequence[CheckpointableSpec]:  # type: ignore[empty-body]
    """Named components that are saved and restored with every run that enables this plugin."""


@hookspec
def puffer_commands() -> Sequence[CommandSpec]:  # type: ignore[empty-body]
    """Subcommands of `puffer` that this plugin provides."""


@hookspec(firstresult=True)
def puffer_resolve_env(id: str) -> EnvSpec | None:
    """Describe the environment `id` (`family:name`, or a bare name that nobody registered), or give None.

    The first plugin that answers wins; plugins of the core come last. Ask cheaply: the id may be a typing error.
    `puffer envs` lists the first line of the implementation's docstring.
    """


# --- events: at most one call per update; an implementation that raises is muted after three strikes ---


@hookspec
def puffer_run_start(run: RunInfo) -> None:
    """A run is about to make its first update, new or resumed."""


@hookspec
def puffer_update_end(run: RunInfo, step: int, metrics: Mapping[str, float]) -> None:
    """An update ended at `step`, in the trainer's unit of progress."""


@hookspec
def puffer_eval_end(run: RunInfo, step: int, metrics: Mapping[str, float]) -> None:
    """An evaluation at `step` ended."""


@hookspec
def puffer_checkpoint_saved(run: RunInfo, step: int, path: Path) -> None:
    """The checkpoint of `step` is durable at `path`."""


@hookspec
def puffer_run_end(run: RunInfo, step: int, status: str) -> None:
    """A run ended; `status` is `finished`, `stopped` or `failed`."""
