"""The plugin suite passes on a plugin that is in order, and names what is wrong with another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from puffer_testing import PluginConformance

FINE = """
    from puffer_core import LoggerSpec, hookimpl
    @hookimpl
    def puffer_loggers():
        return [LoggerSpec(name="mine", summary="s", target="mine_logger:Mine", config="mine_logger:Config")]
"""
LOGGER = '''
    from pydantic import BaseModel
    class Mine: ...
    class Config(BaseModel):
        place: str = "here"
        """Where to."""
'''


@pytest.fixture
def plugin(tmp_path: Path, on_path: Callable[..., None], describe_distribution: Callable[..., None]) -> Any:
    """Installs `puffer-mine`, and gives its suite."""

    def install(module: str = FINE, logger: str = LOGGER) -> PluginConformance:
        describe_distribution(tmp_path, "puffer-mine", "mine_plugin")
        (tmp_path / "mine_plugin.py").write_text(dedent(module))
        (tmp_path / "mine_logger.py").write_text(dedent(logger))
        on_path(tmp_path)

        class Suite(PluginConformance):
            distribution = "puffer-mine"

        return Suite()

    return install


def test_a_plugin_in_order_passes(plugin: Callable[..., Any]) -> None:
    suite = plugin()
    for check in (suite.test_is_found_and_in_order, suite.test_provides_something, suite.test_importing_it_is_light):
        check(suite.installed())
    suite.test_every_target_can_be_imported()
    suite.test_every_option_is_documented_and_has_a_default()


def test_a_plugin_that_is_not_installed_is_named() -> None:
    class Suite(PluginConformance):
        distribution = "puffer-nowhere"

    with pytest.raises(AssertionError, match="'puffer-nowhere' is not installed as a plugin; found"):
        Suite().installed()


def test_a_broken_plugin_fails(plugin: Callable[..., Any]) -> None:
    suite = plugin(module="raise RuntimeError('no luck')")
    with pytest.raises(AssertionError, match="no luck"):
        suite.test_is_found_and_in_order(suite.installed())


def test_a_plugin_without_hooks_fails(plugin: Callable[..., Any]) -> None:
    suite = plugin(module="")
    with pytest.raises(AssertionError, match="implements no hook"):
        suite.test_provides_something(suite.installed())


def test_a_heavy_plugin_fails(plugin: Callable[..., Any]) -> None:
    suite = plugin(module=f"    import numpy{FINE}")
    with pytest.raises(AssertionError, match="importing mine_plugin imports numpy"):
        suite.test_importing_it_is_light(suite.installed())


def test_a_target_that_is_not_there_fails(plugin: Callable[..., Any]) -> None:
    suite = plugin(logger="")
    with pytest.raises(Exception, match="mine_logger"):
        suite.test_every_target_can_be_imported()


def test_an_option_without_a_line_of_documentation_fails(plugin: Callable[..., Any]) -> None:
    suite = plugin(logger=LOGGER.replace('"""Where to."""', ""))
    with pytest.raises(AssertionError, match=r"without a line of documentation: \['place'\]"):
        suite.test_every_option_is_documented_and_has_a_default()


def test_an_option_without_a_default_fails(plugin: Callable[..., Any]) -> None:
    suite = plugin(logger=LOGGER.replace(' = "here"', ""))
    with pytest.raises(ValueError, match="place"):
        suite.test_every_option_is_documented_and_has_a_default()
