"""Which plugins the user turned off. It is asked before a plugin is imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from puffer_core.errors import UsageError
from puffer_core.plugins.records import CORE, FIRST_PARTY
from puffer_core.plugins.requirements import normalise

ALLOW = "PUFFER_PLUGINS"
DISABLE = "PUFFER_DISABLE_PLUGINS"
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class Blocking:
    """What `-p no:NAME`, `--no-plugins` and the environment turn off, by a distribution's normalised name.

    `PUFFER_PLUGINS` is a comma-separated list of the only plugins to load. `PUFFER_DISABLE_PLUGINS` is either such a
    list of plugins to leave out, or `1`, which is `--no-plugins`. `puffer-core` is a plugin too, and cannot be turned
    off: it registers what everything else stands on.

    Raises:
        UsageError: puffer-core was named among those to block.
    """

    def __init__(self, blocked: Collection[str], environ: Mapping[str, str], *, third_party: bool) -> None:
        named = _names(environ.get(DISABLE, ""))
        self._blocked = frozenset(map(normalise, blocked))
        self._disabled = named - _YES - _NO
        self._allowed = _names(environ.get(ALLOW, ""))
        self._own_only = "" if third_party else "--no-plugins"
        if named & _YES:
            self._own_only = f"{DISABLE}=1"
        if CORE in self._blocked | self._disabled:
            raise UsageError(f"{CORE} cannot be disabled", remedy="Everything else stands on it; leave it out.")

    def reason(self, name: str) -> str:
        """Why the plugin is off, empty where it is not."""
        if name == CORE:
            return ""
        if name in self._blocked:
            return f"-p no:{name}"
        if name in self._disabled:
            return f"named in {DISABLE}"
        if self._allowed and name not in self._allowed:
            return f"not named in {ALLOW}"
        if self._own_only and name not in FIRST_PARTY:
            return f"third party, and {self._own_only} is given"
        return ""


def _names(text: str) -> frozenset[str]:
    return frozenset(normalise(name.strip()) for name in text.split(",") if name.strip())
