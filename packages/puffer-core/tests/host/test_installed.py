"""What counts as installed: once each, from the path, never from the working directory."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from puffer_core.plugins.installed import core_version, installed_plugins, without_working_directory


def names(*path: Path) -> list[str]:
    return [plugin.name for plugin in installed_plugins([str(entry) for entry in path])]


def test_the_header_of_the_metadata_is_read_and_the_description_is_not(site: Any) -> None:
    metadata = "Name: Mine\nVersion: 1.2\nSummary: a summary\nLicense: one\n        Name: continued\n"
    metadata += "Requires-Dist: a>1\nRequires-Dist: b\n\nName: Other\n"
    site.install("mine", metadata=metadata)
    (plugin,) = installed_plugins([str(site.path)])
    assert (plugin.name, plugin.version, plugin.summary, plugin.requires) == ("mine", "1.2", "a summary", ("a>1", "b"))
    assert plugin.fault == ""


def test_an_egg_info_directory_counts_too(site: Any) -> None:
    info = site.path / "old.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: old\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[puffer.plugins]\nold = old\n")
    assert names(site.path) == ["old"]


def test_other_distributions_are_passed_over(site: Any) -> None:
    site.install("other", entry_points="[console_scripts]\nother = other:main\n")
    site.install("mentions", entry_points="[console_scripts]\nx = puffer.plugins:main\n")
    site.install("garbled", entry_points=b"\xff\xfe")
    assert names(site.path) == []


def test_a_distribution_that_is_twice_on_the_path_counts_once_and_first(site: Any, tmp_path: Path) -> None:
    site.install("mine", version="1.0")
    second = tmp_path / "second"
    shutil.copytree(site.path, second)
    (second / "mine-1.0.dist-info" / "METADATA").write_text("Name: Mine\nVersion: 2.0\n")
    assert [plugin.version for plugin in installed_plugins([str(site.path), str(second), str(site.path)])] == ["1.0"]


def test_a_leftover_without_metadata_does_not_hide_a_sound_one(site: Any, tmp_path: Path) -> None:
    site.install("mine", version="1.0")
    second = tmp_path / "second"
    shutil.copytree(site.path, second)
    (site.path / "mine-1.0.dist-info" / "METADATA").write_text("Name: mine\n")
    (plugin,) = installed_plugins([str(site.path), str(second)])
    assert (plugin.version, plugin.fault) == ("1.0", "")


def test_the_version_of_the_core_is_known() -> None:
    import importlib.metadata

    assert core_version() == importlib.metadata.version("puffer-core")


def test_a_core_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert core_version() == ""


class TestWorkingDirectory:
    """Standing in a folder is no reason to run what lies in it."""

    @pytest.mark.parametrize("entry", ["", None])
    def test_the_implicit_entry_is_off_and_comes_back(
        self, entry: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        first = str(Path.cwd()) if entry is None else entry
        monkeypatch.setattr(sys, "path", [first, "/elsewhere"])
        with without_working_directory():
            assert sys.path == ["/elsewhere"]
        assert sys.path == [first, "/elsewhere"]

    def test_what_the_user_put_on_the_path_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", ["/elsewhere", str(tmp_path)])
        with without_working_directory():
            assert sys.path == ["/elsewhere", str(tmp_path)]

    def test_a_working_directory_that_was_removed_does_no_harm(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        monkeypatch.setattr(sys, "path", ["/elsewhere"])
        with without_working_directory():
            assert sys.path == ["/elsewhere"]

    def test_a_plugin_in_the_working_directory_is_not_found(
        self, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.install("lurking", "raise AssertionError")
        monkeypatch.chdir(site.path)
        assert [record.name for record in site.discover("lurking").records if record.name == "lurking"] == []
        assert "lurking" not in sys.modules

    @pytest.mark.parametrize("arguments", [["plugins", "list"], ["plugins", "--json"], ["--help"]])
    def test_the_program_takes_nothing_from_where_it_is_started(self, site: Any, arguments: list[str]) -> None:
        """Neither a plugin, nor a module that has the name of one the program imports."""
        site.install_trainer("lurking", "lurking")
        for name in ("importlib_metadata", "argparse", "json", "puffer_ppo"):
            (site.path / f"{name}.py").write_text("raise SystemExit('loaded from the working directory')")
        ran = site.puffer(*arguments, cwd=site.path, PYTHONPATH="")
        assert (ran.returncode, "lurking" in ran.stdout, ran.stderr) == (0, False, "")
