"""Which plugins the user turned off. It is asked before a plugin is imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from puffer_core.errors import UsageError
from puffer_core.plugins.records import CORE, FIRST_PARTY
from puffer_core.plugins.requirements import normalise

ALLOW = "PUFFER_PLUGINS"
DISABLE = "PUFFER_DISABLE_PLUGINS"
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True)
class Blocking:
    """Decides by a distribution's normalised name.

    `puffer-core` is a plugin too, and is never blocked: it registers what everything else stands on.
    """

    blocked: frozenset[str]
    disabled: frozenset[str]
    allowed: frozenset[str]
    third_party: str
    """Why third-party plugins are off; empty where they are not."""

    @classmethod
    def read(cls, blocked: Collection[str], environ: Mapping[str, str], *, third_party: bool) -> Blocking:
        """From `-p no:NAME`, `--no-plugins` and the environment.

        `PUFFER_PLUGINS` is a comma-separated list of the only plugins to load. `PUFFER_DISABLE_PLUGINS` is either
        such a list of plugins to leave out, or `1`, which is `--no-plugins`.

        Raises:
            UsageError: puffer-core was named among those to block.
        """
        disabled = _names(environ.get(DISABLE, ""))
        switch = "" if third_party else "--no-plugins"
        if disabled & _YES:
            switch = f"{DISABLE}=1"
        blocking = cls(
            blocked=frozenset(map(normalise, blocked)),
            disabled=disabled - _YES - _NO,
            allowed=_names(environ.get(ALLOW, "")),
            third_party=switch,
        )
        if CORE in blocking.blocked | blocking.disabled:
            raise UsageError(f"{CORE} cannot be disabled: everything else stands on it", remedy="leave it out")
        return blocking

    def reason(self, name: str) -> str:
        """Why the plugin is off, empty where it is not."""
        if name == CORE:
            return ""
        if name in self.blocked:
            return f"-p no:{name}"
        if name in self.disabled:
            return f"named in {DISABLE}"
        if self.allowed and name not in self.allowed:
            return f"not named in {ALLOW}"
        if self.third_party and name not in FIRST_PARTY:
            return f"third party, and {self.third_party} is given"
        return ""


def _names(text: str) -> frozenset[str]:
    return frozenset(normalise(name.strip()) for name in text.split(",") if name.strip())
