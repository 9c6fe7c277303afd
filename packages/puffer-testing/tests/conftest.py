"""Distributions to test with: installed for the length of a module, without pip."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from puffer_testing.components import host

SPECIMENS = Path(__file__).parent / "specimens"


def describe(folder: Path, distribution: str, module: str) -> None:
    """What pip leaves of an installed distribution that plugs in."""
    info = folder / f"{distribution.replace('-', '_')}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[puffer.plugins]\nplugin = {module}\n")


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Add folders to the path of this process and of those it starts; the plugins are then discovered anew."""

    def add(*folders: Path) -> None:
        for folder in folders:
            monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
        host.cache_clear()

    yield add
    host.cache_clear()
    for name in ("mine_plugin", "mine_logger"):
        sys.modules.pop(name, None)


@pytest.fixture
def specimens(tmp_path: Path, on_path: Callable[..., None]) -> None:
    """The distribution `puffer-specimens`."""
    describe(tmp_path / "installed", "puffer-specimens", "specimens_plugin")
    on_path(tmp_path / "installed", SPECIMENS)


@pytest.fixture
def describe_distribution() -> Callable[..., None]:
    """`describe`, for test modules, which cannot import a conftest."""
    return describe
