"""Blocking acts before anything of a plugin is imported."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from puffer_core import UsageError
from puffer_core.plugins import PluginHost
from puffer_core.plugins.blocking import Blocking

ON = {"third_party": True}


@pytest.mark.parametrize(
    ("blocked", "environ", "third_party", "reason"),
    [
        (["Mine"], {}, True, "-p no:mine"),
        ([], {"PUFFER_DISABLE_PLUGINS": "other, MINE"}, True, "named in PUFFER_DISABLE_PLUGINS"),
        ([], {"PUFFER_PLUGINS": "other"}, True, "not named in PUFFER_PLUGINS"),
        ([], {}, False, "third party, and --no-plugins is given"),
        ([], {"PUFFER_DISABLE_PLUGINS": "1"}, True, "third party, and PUFFER_DISABLE_PLUGINS=1 is given"),
    ],
)
def test_a_blocked_plugin_is_not_imported_and_says_why(
    site: Any, blocked: list[str], environ: dict[str, str], third_party: bool, reason: str
) -> None:
    site.install("mine", "raise AssertionError")
    record = PluginHost.discover(blocked=blocked, environ=environ, third_party=third_party).record("mine")
    assert (record.status, record.reason) == ("disabled", reason)
    assert "mine" not in sys.modules


@pytest.mark.parametrize("value", ["", "0", "false", " , "])
def test_empty_settings_block_nothing(value: str) -> None:
    blocking = Blocking([], {"PUFFER_DISABLE_PLUGINS": value, "PUFFER_PLUGINS": ""}, third_party=True)
    assert blocking.reason("mine") == ""


def test_our_own_plugins_are_not_third_party() -> None:
    blocking = Blocking([], {}, third_party=False)
    assert blocking.reason("puffer-ppo") == ""
    assert blocking.reason("puffer-ppo-extras") != ""


def test_the_allow_list_need_not_name_the_core() -> None:
    assert Blocking([], {"PUFFER_PLUGINS": "mine"}, third_party=True).reason("puffer-core") == ""


@pytest.mark.parametrize(
    ("blocked", "environ"), [(["puffer_core"], {}), ([], {"PUFFER_DISABLE_PLUGINS": "puffer-core"})]
)
def test_the_core_cannot_be_blocked(blocked: list[str], environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="puffer-core cannot be disabled"):
        Blocking(blocked, environ, third_party=True)
