"""The newest film of a group, in the page if it is small."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from puffer_core.cli.output import size_text
from puffer_report.groups import Group

MOST_BYTES = 8_000_000
"""Of a film that is put into the page; a larger one is linked to."""
_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}


@dataclass(frozen=True)
class Film:
    """A film.

    Args:
        label: the group's.
        name: of its file.
        size: as text.
        type: its media type.
        data: a `data:` URI; empty where it is too large.
        link: from the page to the file.
    """

    label: str
    name: str
    size: str
    type: str
    data: str
    link: str


def film(group: Group, page: Path) -> Film | None:
    """The newest in `videos/` of any of its runs; None where there is none."""
    files = [file for run in group.runs for file in (run.path / "videos").glob("*") if file.suffix in _TYPES]
    if not files:
        return None
    newest = max(files, key=lambda file: (file.stat().st_mtime, file.name))
    size, kind = newest.stat().st_size, _TYPES[newest.suffix]
    data = f"data:{kind};base64,{base64.b64encode(newest.read_bytes()).decode()}" if size <= MOST_BYTES else ""
    link = quote(Path(os.path.relpath(newest.resolve(), page.resolve().parent)).as_posix())
    return Film(group.label, f"{newest.parents[1].name}/{newest.name}", size_text(size), kind, data, link)
