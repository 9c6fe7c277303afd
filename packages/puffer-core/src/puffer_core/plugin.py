"""What the core itself provides: the NumPy backend, the local metrics file, and every Gymnasium id."""

from __future__ import annotations

from collections.abc import Sequence

from puffer_core import BackendSpec, EnvError, EnvSpec, LoggerSpec, hookimpl

_FAMILY = "gymnasium:"


@hookimpl
def puffer_backends() -> Sequence[BackendSpec]:
    """NumPy: acting and evaluation, and the reference that other engines are tested against."""
    return [
        BackendSpec(
            name="numpy",
            summary="NumPy on the CPU: acting and evaluation, no training",
            target="puffer_core.numpy_backend:NumpyBackend",
            config="puffer_core.numpy_backend:NumpyConfig",
        )
    ]


@hookimpl
def puffer_loggers() -> Sequence[LoggerSpec]:
    """The run's own record, which is always written."""
    return [
        LoggerSpec(
            name="jsonl",
            summary="metrics.jsonl in the run directory; always on",
            target="puffer_core.loggers.jsonl:JsonlLogger",
        )
    ]


@hookimpl(trylast=True)
def puffer_resolve_env(id: str) -> EnvSpec | None:
    """gymnasium:ID, such as gymnasium:CartPole-v1; with a version at its end, ID alone."""
    if id.startswith("gymnax:"):  # nobody else took it; to Gymnasium it would be an id of its own, in a module gymnax
        raise EnvError(
            f"{id}: the package puffer-env-gymnax is not installed",
            remedy="Install it: pip install puffer-env-gymnax gymnax",
        )
    name = id.removeprefix(_FAMILY)
    if name == id and not _has_version(name):
        return None
    from puffer_core.vector.gymnasium import resolve  # imports Gymnasium, which takes 100 ms

    return resolve(id)


def _has_version(name: str) -> bool:
    base, separator, version = name.rpartition("-v")
    return bool(base and separator and version.isdecimal())
