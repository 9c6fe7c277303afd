"""Components under test, found as a user finds them: through the plugin host."""

from __future__ import annotations

import functools
from typing import Any

from puffer_core.plugins import PluginHost, Provided


@functools.cache
def host() -> PluginHost:
    """The plugins that are installed where the tests run."""
    return PluginHost.discover()


def find(kind: str, name: str) -> Provided:
    """What `name` stands for; an `AssertionError` if the suite was not told a name."""
    assert name, f"the suite sets no `name`: set `name` to the registered name of the {kind}, or override `make`"
    return host().find(kind, name)


def load(provided: Provided) -> Any:
    """The target."""
    return host().load(provided)


def build(kind: str, name: str, options: dict[str, Any], *arguments: Any) -> Any:
    """The component, made of its options (validated) and what its kind is built with."""
    provided = find(kind, name)
    model = host().load_config(provided)
    return load(provided)(model(**options) if model else options, *arguments)
