"""Which distributions declare plugins: read from their metadata, nothing of them imported.

Metadata files are read through `importlib_metadata`, but their headers are parsed here: only four fields are
wanted, and the e-mail parser behind `Distribution.metadata` costs more than the rest of discovery.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import importlib_metadata

from puffer_core.hookspecs import ENTRY_POINT_GROUP
from puffer_core.plugins.faults import describe, one_line
from puffer_core.plugins.records import CORE
from puffer_core.plugins.requirements import normalise

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)


@dataclass(frozen=True)
class Installed:
    """A distribution that declares plugins. `fault` says in one line why its metadata cannot be used, if so."""

    name: str
    version: str
    summary: str = ""
    requires: tuple[str, ...] = ()
    entry_points: tuple[importlib_metadata.EntryPoint, ...] = ()
    fault: str = ""


def installed_plugins(path: Sequence[str]) -> list[Installed]:
    """Every distribution on `path` with an entry point of the group `puffer.plugins`, sorted by name.

    Where one appears twice, the first with usable metadata counts, as it does for imports.
    """
    found: dict[str, Installed] = {}
    for distribution in importlib_metadata.Distribution.discover(path=list(path)):
        plugin = _read(distribution)
        if plugin and (plugin.name not in found or (found[plugin.name].fault and not plugin.fault)):
            found[plugin.name] = plugin
    return [found[name] for name in sorted(found)]


def core_version() -> str:
    """Version of the installed puffer-core, empty where it runs without being installed."""
    for distribution in importlib_metadata.Distribution.discover(name=CORE):
        version = _header(distribution).get("Version")
        if version:
            return version[0]
    return ""


@contextmanager
def without_working_directory() -> Iterator[None]:
    """Take off `sys.path` the directory that Python itself put first because it is where the user stands.

    Whoever starts Python in a downloaded folder trusts the folder's files to be read, not to be plugins. What the
    user put on the path (PYTHONPATH, a .pth file of an editable install) stays.
    """
    first = sys.path[0] if sys.path else None
    implicit = first is not None and not sys.flags.safe_path and first in ("", _working_directory())
    if implicit:
        del sys.path[0]
    try:
        yield
    finally:
        if implicit and first is not None:
            sys.path.insert(0, first)


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib would be imported for this alone
    except OSError:  # it was removed under our feet
        return ""


def _read(distribution: importlib_metadata.Distribution) -> Installed | None:
    """What the distribution says of itself, None where it declares no plugin."""
    try:
        declares = ENTRY_POINT_GROUP in (distribution.read_text("entry_points.txt") or "")
        fault = ""
    except Exception as error:  # noqa: BLE001 - a file that is not text, a finder that is not ours
        declares, fault = _is_ours(distribution), f"entry_points.txt cannot be read: {describe(error)}"
    if not declares:
        return None
    header = _header(distribution)
    entry_points: tuple[importlib_metadata.EntryPoint, ...] = ()
    if not fault:
        try:
            entry_points = tuple(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
        except Exception as error:  # noqa: BLE001 - a malformed file raises whatever it likes
            fault = f"entry_points.txt cannot be read: {describe(error)}"
    if not fault and not entry_points:
        return None
    return _installed(distribution, header, entry_points, fault)


def _installed(
    distribution: importlib_metadata.Distribution,
    header: dict[str, list[str]],
    entry_points: tuple[importlib_metadata.EntryPoint, ...],
    fault: str,
) -> Installed:
    name = normalise(header.get("Name", [""])[0])
    version = header.get("Version", [""])[0]
    missing = [field for field, value in (("Name", _NAME.fullmatch(name)), ("Version", version)) if not value]
    if missing and not fault:
        fault = f"corrupt metadata in {distribution.locate_file('')}: no valid {' and no '.join(missing)}; reinstall it"
    if "Name" in missing:
        name = normalise(one_line(entry_points[0].name) if entry_points else "unknown")
    return Installed(
        name=name,
        version=version,
        summary=header.get("Summary", [""])[0],
        requires=tuple(header.get("Requires-Dist", ())),
        entry_points=entry_points,
        fault=fault,
    )


def _is_ours(distribution: importlib_metadata.Distribution) -> bool:
    """Whether a distribution whose entry points cannot be read has to do with Puffer."""
    header = _header(distribution)
    requires = (normalise(requirement) for requirement in header.get("Requires-Dist", ()))
    return any(requirement.startswith(CORE) for requirement in requires)


def _header(distribution: importlib_metadata.Distribution) -> dict[str, list[str]]:
    """The header fields of METADATA, empty where there is none that can be read."""
    fields: dict[str, list[str]] = {}
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except Exception:  # noqa: BLE001 - likewise; what is missing is reported by the caller
        return fields
    for line in text.partition("\n\n")[0].splitlines():  # the description follows the empty line
        field, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields.setdefault(field, []).append(one_line(value))
    return fields
