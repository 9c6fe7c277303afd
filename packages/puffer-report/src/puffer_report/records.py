"""Everything that a report says of one run, read from its directory; nothing there is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from puffer_core.durable import parse_json
from puffer_core.errors import CheckpointError
from puffer_core.loggers.jsonl import METRICS
from puffer_core.run.directory import PLUGINS, RESUMES, Run
from puffer_core.run.overview import Overview, overview, runs
from puffer_report.columns import Columns, read_columns


@dataclass(frozen=True)
class Record:
    """One run.

    Args:
        overview: how it stands.
        config: its `config.json`.
        metrics: its `metrics.jsonl`, as columns.
        resumes: what `resumes.jsonl` says of each time it went on.
    """

    overview: Overview
    config: dict[str, Any]
    metrics: Columns
    resumes: list[dict[str, Any]]

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.overview.path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Of its last checkpoint whose manifest can be read; empty before the first."""
        for checkpoint in reversed(Run(self.path).checkpoints):
            manifest = _read_json(checkpoint / "manifest.json")
            if isinstance(manifest, dict):
                return manifest
        return {}

    @property
    def trainer(self) -> str:
        """Name of what trained it."""
        return str(self.config.get("trainer", ""))

    @property
    def source(self) -> str:
        """What it learns from."""
        return str(self.config.get("source", ""))

    @property
    def runtime(self) -> dict[str, Any]:
        """Versions and engine that its last checkpoint was made with; empty before the first."""
        runtime = self.manifest.get("runtime")
        return runtime if isinstance(runtime, dict) else {}

    @property
    def unit(self) -> str:
        """What its steps count."""
        return str(self.manifest.get("unit", "steps"))

    @cached_property
    def plugins(self) -> dict[str, str]:
        """Version of each distribution that was installed when it began."""
        plugins = _read_json(self.path / PLUGINS)
        listed = plugins if isinstance(plugins, list) else []
        return {
            str(item["name"]): str(item.get("version", ""))
            for item in listed
            if isinstance(item, dict) and "name" in item
        }


def read_runs(paths: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The runs at `paths`, in their order, each once; and what had to be left out.

    Raises:
        CheckpointError: a path is neither a run nor a directory with runs in it, or no run of it can be read.
    """
    found: dict[Path, Record] = {}
    warnings: list[str] = []
    for path in paths:
        for directory, below in _directories(path):
            try:
                found.setdefault(directory.resolve(), _record(directory))
            except CheckpointError as error:
                if not below:
                    raise
                warnings.append(f"left out: {error.message}")
        if not any(directory.resolve() in found for directory, _ in _directories(path)):
            raise CheckpointError(f"{path}: none of the runs in it can be read: {warnings[-1]}")
    return list(found.values()), warnings


def _directories(path: Path) -> Iterator[tuple[Path, bool]]:
    """Directories of runs, each with whether it was found below `path` rather than named."""
    below = [] if (path / "config.json").is_file() or not path.is_dir() else runs(path)
    if not below:
        yield Run(path).directory, False
    yield from sorted((item.path, True) for item in below)


def _record(path: Path) -> Record:
    config = Run(path).config
    return Record(overview(path), config, read_columns(path / METRICS), list(_resumes(path / RESUMES)))


def _resumes(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # the line of a resume that was cut short, which then did nothing
        if isinstance(value, dict):
            yield value


def _read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
