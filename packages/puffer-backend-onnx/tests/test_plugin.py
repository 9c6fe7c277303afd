"""The plugin: found, light, and true to its word."""

import pytest

from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost
from puffer_testing.plugin import PluginConformance


class TestPlugin(PluginConformance):
    distribution = "puffer-backend-onnx"


def test_where_it_is_missing_the_message_names_what_to_install():
    others = tuple(record for record in PluginHost.discover().records if record.name != "puffer-backend-onnx")
    with pytest.raises(UsageError, match="unknown backend 'onnx'") as caught:
        PluginHost(None, others, []).find("backend", "onnx")
    assert caught.value.remedy == "Install it: pip install puffer-backend-onnx"
