"""The plugin host: what is installed, what of it can be used, and who provides what."""

from __future__ import annotations

from puffer_core.plugins.host import PluginHost
from puffer_core.plugins.records import FIRST_PARTY, KINDS, PluginRecord, Provided

__all__ = ["FIRST_PARTY", "KINDS", "PluginHost", "PluginRecord", "Provided"]
