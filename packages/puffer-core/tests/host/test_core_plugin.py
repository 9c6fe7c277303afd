"""What the core registers by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from puffer_core import UsageError
from puffer_core.plugins import KINDS, PluginHost

ALONE: Mapping[str, str] = {"PUFFER_PLUGINS": "none"}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.discover(environ=ALONE)


def test_everything_it_registers_can_be_imported(host: PluginHost) -> None:
    components = [item for kind in KINDS for item in host.provided(kind)]
    assert {item.spec.name for item in components} == {"numpy", "jsonl"}
    for item in components:
        assert callable(host.load(item))
        model: Any = host.load_config(item)
        assert model is None or model.model_fields is not None


@pytest.mark.parametrize("id", ["gymnasium:CartPole-v1", "CartPole-v1"])
def test_gymnasiums_ids_are_resolved(host: PluginHost, id: str) -> None:
    provided = host.find_env(id)
    assert (provided.spec.name, provided.distribution) == ("CartPole-v1", "puffer-core")
    assert callable(host.load(provided))


@pytest.mark.parametrize("id", ["gymnasium:CartPol-v1", "CartPol-v1", "nothing-at-all-like-it-v1"])
def test_an_id_that_gymnasium_lacks_is_a_usage_error(host: PluginHost, id: str) -> None:
    with pytest.raises(UsageError):
        host.find_env(id)
