"""PluginHost: finds components by name, knows who provides them, and reports the plugins that cannot be used."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

from puffer_core.errors import PluginError, PufferError, UsageError, did_you_mean
from puffer_core.plugins.admission import admit, mark_conflicts
from puffer_core.plugins.blocking import Blocking
from puffer_core.plugins.events import Events
from puffer_core.plugins.faults import describe
from puffer_core.plugins.installed import without_working_directory
from puffer_core.plugins.loading import HookManager
from puffer_core.plugins.records import FIRST_PARTY, KINDS, PluginRecord, Provided
from puffer_core.plugins.requirements import normalise
from puffer_core.specs import EnvSpec, import_target


class PluginHost:
    """The installed plugins: what they provide, and what became of those that cannot be used.

    Made by `discover`. Registration costs no heavy import; a component is imported by `load`.

    Example:
        >>> host = PluginHost.discover()
        >>> host.find("backend", "numpy").distribution
        'puffer-core'
    """

    def __init__(self, manager: HookManager, records: tuple[PluginRecord, ...], provided: list[Provided]) -> None:
        self.records = records
        """One for each installed plugin, the blocked and broken ones included, sorted by name."""
        self._provided = sorted(provided, key=lambda item: (item.spec.name, item.distribution))
        self._events = Events(manager)
        self._manager = manager

    @classmethod
    def discover(
        cls,
        *,
        blocked: Collection[str] = (),
        third_party: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> PluginHost:
        """Find, import and register every installed plugin, each in isolation.

        Plugins are found by the entry-point group `puffer.plugins` of the distributions on `sys.path`, except in the
        working directory. A plugin that raises (SystemExit included) or does not fit the contracts gets a record that
        says so, and nothing else happens.

        Args:
            blocked: names of distributions that are not to be imported.
            third_party: whether distributions that are not Puffer's own (`FIRST_PARTY`) are imported.
            environ: where `PUFFER_PLUGINS` and `PUFFER_DISABLE_PLUGINS` are looked up.

        Raises:
            UsageError: puffer-core itself was to be blocked.
        """
        manager = HookManager()
        blocking = Blocking(blocked, environ, third_party=third_party)
        with without_working_directory():
            records, provided = admit(manager, blocking)
        return cls(manager, mark_conflicts(records, provided), provided)

    def provided(self, kind: str) -> list[Provided]:
        """Everything of a kind (a key of `KINDS`) that usable plugins provide, sorted by name and distribution."""
        _, wanted = KINDS[kind]
        return [item for item in self._provided if isinstance(item.spec, wanted)]

    def record(self, name: str) -> PluginRecord:
        """The record of the plugin with this distribution name.

        Raises:
            UsageError: there is no such plugin.
        """
        for record in self.records:
            if record.name == normalise(name):
                return record
        known = [record.name for record in self.records]
        raise UsageError(f"unknown plugin {name!r}", remedy=did_you_mean(normalise(name), known))

    def find(self, kind: str, name: str) -> Provided:
        """The component that people call `name`, `name@distribution` or `py:module:Attribute`.

        Raises:
            UsageError: nobody provides it; names the nearest.
            PluginError: two plugins provide the bare name; or the plugin that seems to provide it cannot be used.
        """
        if name.startswith("py:"):
            return _unpackaged(kind, name)
        bare, _, suffix = name.partition("@")
        distribution = normalise(suffix)
        matches = [
            item for item in self.provided(kind) if item.spec.name == bare and distribution in ("", item.distribution)
        ]
        if not matches:
            raise self._unknown(kind, bare, distribution)
        if len(matches) > 1:
            providers = " and ".join(item.provider for item in matches)
            choices = " or ".join(f"{bare}@{item.distribution}" for item in matches)
            raise PluginError(f"{kind} {bare!r} is provided by {providers}", remedy=f"Say which: {choices}.")
        return matches[0]

    def find_env(self, id: str) -> Provided:
        """The environment `id`: a registered name, or one that a plugin resolves (`gymnasium:CartPole-v1`).

        Raises:
            UsageError: no plugin knows it; names the nearest.
            PluginError: as `find` does.
        """
        bare, at, _ = id.partition("@")
        registered = any(item.spec.name == bare for item in self.provided("env"))
        if id.startswith("py:") or registered or (at and ":" not in id):
            return self.find("env", id)
        for plugin, spec in self._events.ask("puffer_resolve_env", EnvSpec, id=id):
            return Provided(spec, plugin, self.record(plugin).version)
        family, colon, _ = id.partition(":")
        error = self._unknown("env", family if colon else id, "", shown=id)
        if isinstance(error, UsageError):
            error.remedy = f"{error.remedy} Gymnasium's ids work as gymnasium:ID."
        raise error

    def families(self) -> list[tuple[PluginRecord, str]]:
        """Plugins that know envs which nobody registered, each with what it says of them; sorted by name."""
        said = sorted(self._events.documented("puffer_resolve_env"))
        return [(self.record(name), text) for name, text in said]

    def load(self, provided: Provided) -> Any:
        """Import the target of a component. What it prints meanwhile goes to stderr.

        Raises:
            PluginError: the import fails; names distribution and reason.
            UsageError: the same for a `py:` target.
        """
        return _import(provided, provided.spec.target)

    def load_config(self, provided: Provided) -> Any:
        """Import the pydantic model of a component's options, None where it has none. Raises as `load` does."""
        return _import(provided, provided.spec.config) if provided.spec.config else None

    def notify(self, event: str, **arguments: Any) -> None:
        """Call every implementation of an event hook (`puffer_update_end`), each in isolation.

        One that raises is reported once on stderr, and not called again after three errors.
        """
        self._events.notify(event, **arguments)

    def describe(self) -> list[dict[str, Any]]:
        """The plugins as JSON values: name, version, status, reason, module, provides."""
        fields = ("name", "version", "status", "reason", "module")
        return [
            {field: getattr(record, field) for field in fields}
            | {"provides": {kind: list(names) for kind, names in record.provides.items()}}
            for record in self.records
        ]

    def _unknown(self, kind: str, bare: str, distribution: str, *, shown: str = "") -> PufferError:
        """The error for a name that nobody provides, blaming an unusable plugin where one is likely to provide it."""
        for record in self.records:
            likely = record.name == distribution if distribution else _sounds_like(record, bare)
            if likely and not record.usable:
                return PluginError(
                    f"{kind} {shown or bare!r} is not available: {record.name} {record.version} is {record.status}: "
                    f"{record.reason}",
                    remedy=f"See `puffer plugins show {record.name}`.",
                )
        if distribution:
            return UsageError(
                f"{distribution} provides no {kind} {bare!r}",
                remedy=did_you_mean(bare, [f"{p.spec.name}@{p.distribution}" for p in self.provided(kind)]),
            )
        remedy = did_you_mean(bare, [item.spec.name for item in self.provided(kind)])
        installed = {record.name for record in self.records}
        for missing in sorted(name for name in FIRST_PARTY - installed if name.endswith(f"-{bare}")):
            remedy = f"Install it: pip install {missing}"
        return UsageError(f"unknown {kind} {shown or bare!r}", remedy=remedy)


def _sounds_like(record: PluginRecord, name: str) -> bool:
    """Whether a plugin that could not be loaded is likely to provide `name`."""
    return name in record.entries or record.name == name or record.name.endswith(f"-{name}")


def _unpackaged(kind: str, name: str) -> Provided:
    """Wrap `py:module:Attribute` in the Spec of its kind; but for policies, it is imported when it is used."""
    target = name.removeprefix("py:")
    words = "".join(character if character.isalnum() else " " for character in target.rpartition(":")[2].lower())
    label = "-".join(words.split()).lstrip("0123456789-") or kind
    try:
        _, spec = KINDS[kind]
        # Whether an unpackaged trainer differentiates shows when it runs.
        unknown: dict[str, Any] = {"gradients": False} if kind == "trainer" else {}
        provided = Provided(spec(name=label, summary=name, target=target, **unknown), "", "")
    except ValueError as error:
        raise UsageError(
            f"{kind} {name!r}: {error}", remedy="Write py:module:Attribute, as in py:my_package:Mine."
        ) from error
    return _declared(provided) if kind == "policy" else provided


def _declared(provided: Provided) -> Provided:
    """With what a class that no plugin registers says itself: `backends`, and `Config`, the model of its options."""
    target = _import(provided, provided.spec.target)
    config = f"{provided.spec.target}.Config" if hasattr(target, "Config") else ""
    backends = frozenset(getattr(target, "backends", ()))
    return replace(provided, spec=replace(provided.spec, backends=backends, config=config))


def _import(provided: Provided, target: str) -> Any:
    try:
        with redirect_stdout(sys.stderr):
            return import_target(target)
    except (KeyboardInterrupt, PufferError):
        raise
    except BaseException as error:
        message = f"{provided.label} cannot be imported ({target}): {describe(error)}"
        if provided.distribution:
            remedy = f"Reinstall or update it: pip install --upgrade {provided.distribution}"
            if isinstance(error, ModuleNotFoundError) and _package(error.name or target) != _package(target):
                remedy = f"It needs {error.name}, which is not installed: pip install {provided.distribution}"
            raise PluginError(message, remedy=remedy) from error
        remedy = "py: imports from Python's path; PYTHONPATH=. adds the folder you are in."
        raise UsageError(message, remedy=remedy) from error


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
