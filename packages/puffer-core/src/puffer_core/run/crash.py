"""What becomes of errors that nobody planned while a run goes on: a report in the run, or words for what ran out."""

from __future__ import annotations

import errno
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from importlib_metadata import PackageNotFoundError, version

from puffer_core.durable import json_bytes
from puffer_core.errors import EnvError, PufferError, ResourceError
from puffer_core.loggers.jsonl import METRICS
from puffer_core.plugins import PluginHost
from puffer_core.plugins.faults import describe, trace
from puffer_core.run.shortage import shortage

LINES = 10
"""Of the metrics, at most."""
_ENGINES = ("puffer-core", "numpy", "torch", "jax", "gymnasium", "numba", "safetensors")
_SURROUNDINGS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EPIPE)
"""Errors of the machine, which no report of ours explains."""


@contextmanager
def crash_reports(directory: Path, config: Mapping[str, Any], host: PluginHost) -> Iterator[None]:
    """While this lasts, an error that is no `PufferError` leaves `crash-N.txt` in the run.

    It is raised on, with a note and an attribute `crash_report`. Nothing is left of a run that did not begin. Memory
    that ran out is a `ResourceError`, with sizes.

    Args:
        directory: of the run.
        config: its resolved configuration.
        host: knows the plugins.
    """
    try:
        yield
    except PufferError as error:
        if isinstance(error, EnvError) and (short := shortage(error.__cause__)):
            raise ResourceError(f"{short.message}: {error.message}", remedy=short.remedy) from error
        raise
    except Exception as error:
        if short := shortage(error):
            raise short from error
        surroundings = isinstance(error, OSError) and error.errno in _SURROUNDINGS
        if not surroundings and (directory / METRICS).exists():
            with suppress(OSError):  # the error itself matters more than the report of it
                path = free_name(directory, "crash")
                path.write_text(report(error, directory, config, host.describe()), encoding="utf-8")
                error.crash_report = str(path)  # type: ignore[attr-defined]
                error.add_note(f"Its surroundings are in {path}")
        raise


def report(
    error: BaseException, directory: Path, config: Mapping[str, Any], plugins: Sequence[Mapping[str, Any]]
) -> str:
    """Everything that whoever looks into an error wants to know, as text."""
    parts = {
        "error": describe(error),
        "time": f"{datetime.now().astimezone():%F %T %z}",
        "versions": "\n".join(_versions()),
        "plugins": "\n".join(f"{plugin['name']} {plugin.get('version') or ''}".strip() for plugin in plugins),
        "traceback": trace(error),
        f"last lines of {METRICS}": "\n".join(_last_lines(directory / METRICS)) or "(none)",
        "config": json_bytes(dict(config)).decode(),
    }
    return "\n\n".join(f"=== {name}\n{text.rstrip()}" for name, text in parts.items()) + "\n"


def free_name(directory: Path, name: str) -> Path:
    """`NAME-1.txt`, or the next number of which there is nothing yet; an empty file is nothing.

    Example:
        >>> free_name(Path("nowhere"), "crash").name
        'crash-1.txt'
    """
    number = 1
    while (path := directory / f"{name}-{number}.txt").exists() and path.stat().st_size:
        number += 1
    return path


def _versions() -> Iterator[str]:
    yield f"python {platform.python_version()} on {platform.platform()}"
    for name in _ENGINES:
        if name.replace("-", "_") in sys.modules:
            with suppress(PackageNotFoundError):
                yield f"{name} {version(name)}"


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
    except OSError:
        return []
