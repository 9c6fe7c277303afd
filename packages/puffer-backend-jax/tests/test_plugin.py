"""The plugin: found, light, and true to its word; and what happens where it is not installed."""

import pytest

from puffer_backend_jax.config import JaxConfig
from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost
from puffer_testing.plugin import PluginConformance


class TestPlugin(PluginConformance):
    distribution = "puffer-backend-jax"


def test_where_it_is_missing_the_message_names_what_to_install():
    others = tuple(record for record in PluginHost.discover().records if record.name != "puffer-backend-jax")
    with pytest.raises(UsageError, match="unknown backend 'jax'") as caught:
        PluginHost(None, others, []).find("backend", "jax")
    assert caught.value.remedy == "Install it: pip install puffer-backend-jax"


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu", "cuda:3", "tpu"])
def test_takes_the_names_of_devices(device):
    assert JaxConfig(device=device).device == device


@pytest.mark.parametrize("options", [{"device": "mps"}, {"device": "cuda:"}, {"cache": "perhaps"}, {"caches": True}])
def test_refuses_what_it_cannot_mean(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        JaxConfig(**options)
