"""Real plugins, made on disk as pip would install them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from puffer_core.plugins import PluginHost

TRAINER = """
from puffer_core import TrainerSpec, hookimpl

@hookimpl
def puffer_trainers():
    return [TrainerSpec(name="{name}", summary="a trainer", target="{module}_target:Target")]
"""


@dataclass(frozen=True)
class Site:
    """A directory of installed distributions that is on the path of this process and of those it starts."""

    path: Path

    def install(
        self,
        name: str,
        source: str | None = "",
        *,
        version: str = "1.0",
        module: str = "",
        metadata: str | bytes | None = None,
        entry_points: str | bytes | None = None,
        requires: tuple[str, ...] = (),
    ) -> None:
        """Install distribution `name` whose plugin is one module with this source; None for no module at all."""
        module = module or name.lower().replace("-", "_")
        info = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata is None:
            lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", f"Summary: what {name} does"]
            metadata = "\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires), "", "# Description", ""])
        if entry_points is None:
            entry_points = f"[puffer.plugins]\nplug = {module}\n"
        for file, content in (("METADATA", metadata), ("entry_points.txt", entry_points)):
            (info / file).write_bytes(content.encode() if isinstance(content, str) else content)
        if source is not None:
            (self.path / f"{module}.py").write_text(source)

    def install_trainer(self, name: str, trainer: str, *, version: str = "1.0") -> None:
        """Install a sound plugin that provides one trainer."""
        module = name.replace("-", "_")
        self.install(name, TRAINER.format(name=trainer, module=module), version=version)

    def discover(self, *names: str, blocked: tuple[str, ...] = ()) -> PluginHost:
        """A host with only the core and the named plugins."""
        return PluginHost.discover(blocked=blocked, environ={"PUFFER_PLUGINS": ",".join(names or ("none",))})

    def puffer(self, *arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "puffer_core", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(self.path)} | environ,
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty site directory; modules imported from it are forgotten afterwards."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    before = set(sys.modules)
    yield Site(path)
    for name in set(sys.modules) - before:
        if str(path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def host_of(site: Site) -> Callable[[str], PluginHost]:
    """Installs one plugin, `mine`, with this source, and discovers it."""

    def discover(source: str) -> PluginHost:
        site.install("mine", source)
        return site.discover("mine")

    return discover
