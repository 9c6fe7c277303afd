"""The plugins that a run was saved with, and those that are here: what is missing, what is another version."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from importlib_metadata import PackageNotFoundError, version

from puffer_core.checkpoints.reading import Checkpoint
from puffer_core.errors import CheckpointError, PufferError, UsageError
from puffer_core.plugins import PluginHost
from puffer_core.plugins.requirements import normalise

Plugins = Sequence[Mapping[str, Any]]
"""As `PluginHost.describe` gives them and manifests keep them."""
_USABLE = ("ok", "conflict")


def check_providers(saved: Checkpoint, host: PluginHost) -> None:
    """Whether everything that a checkpoint holds the state of is provided by something that is installed.

    Raises:
        CheckpointError: it is not; names the distribution and version to install.
    """
    manifest = saved.manifest
    for name, entry in manifest.components.items():
        if entry.distribution and entry.distribution not in _versions(host.describe()):
            what = f"{saved.path}: its {name} ({entry.type})"
            raise _missing(what, entry.distribution, entry.distribution_version, host)


def unusable(
    where: str, tree: Mapping[str, Any], plugins: Plugins, host: PluginHost, error: PufferError
) -> PufferError:
    """Why the configuration of a run cannot be used here, though it could when the run was saved.

    Args:
        where: the configuration's file.
        tree: what stands in it.
        plugins: those that the run was saved with.
        host: those that are here.
        error: what came of reading it.
    """
    gone = {name: there for name, there in _versions(plugins).items() if name not in _versions(host.describe())}
    for kind, name in _components(tree):
        for distribution in _providers(plugins, kind, name):
            if distribution in gone:
                return _missing(f"{where}: {kind} {name}", distribution, gone[distribution], host)
    if gone and isinstance(error, UsageError):  # such as an env that a plugin knows without a list
        return CheckpointError(f"{where}: {error.message}", remedy=f"what it was made with is gone: {_install(gone)}")
    return CheckpointError(f"{where}: {error.message}", remedy=error.remedy)


def differences(saved: Checkpoint, host: PluginHost) -> list[str]:
    """A line each for versions that differ, plugins that are gone and plugins that were added; none where all is same.

    What the run needs is there: `check_providers` and the configuration have seen to that.
    """
    there, here = _versions(saved.manifest.plugins), _versions(host.describe())
    runtime = {**_runtime(saved.manifest.runtime), **there}
    now = {**_runtime_here(runtime), **here}
    changed = [f"{name} {old} -> {now[name]}" for name, old in runtime.items() if name in now and now[name] != old]
    lines = {
        "it was saved with other versions, and may not go on bit for bit": changed,
        "it was saved with plugins that are not here, and does not need them": sorted(there.keys() - here.keys()),
        "there are plugins now that it was saved without": sorted(here.keys() - there.keys()),
    }
    return [f"{saved.path}: {words}: {', '.join(items)}" for words, items in lines.items() if items]


def versions(host: PluginHost) -> dict[str, str]:
    """Of Python, NumPy and the plugins that are in use, by name."""
    return {"python": platform.python_version(), "numpy": version("numpy"), **_versions(host.describe())}


def _versions(plugins: Plugins) -> dict[str, str]:
    return {str(plugin["name"]): str(plugin["version"]) for plugin in plugins if plugin["status"] in _USABLE}


def _runtime(runtime: Mapping[str, Any]) -> dict[str, str]:
    """Versions of what computes: Python, NumPy, the engine."""
    found = {name: str(runtime[name]) for name in ("python", "numpy") if name in runtime}
    engine = runtime.get("backend")
    if isinstance(engine, Mapping) and "engine" in engine and "version" in engine:
        found[str(engine["engine"])] = str(engine["version"])
    return found


def _runtime_here(wanted: Mapping[str, str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in wanted.keys() - found.keys():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _missing(what: str, distribution: str, number: str, host: PluginHost) -> CheckpointError:
    for record in host.records:
        if record.name == distribution and not record.usable:
            return CheckpointError(
                f"{what} is of {distribution} {number}, which is {record.status}: {record.reason}",
                remedy=f"see `puffer plugins show {distribution}`",
            )
    install = _install({distribution: number})
    return CheckpointError(f"{what} is of {distribution} {number}, which is not installed", remedy=install)


def _install(distributions: Mapping[str, str]) -> str:
    return "pip install " + " ".join(f"{name}=={number}" if number else name for name, number in distributions.items())


def _components(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and name of each component that a configuration names."""
    named = {"trainer": tree.get("trainer"), "env": tree.get("source")}
    named |= {kind: tree[kind].get("name") for kind in ("policy", "backend") if isinstance(tree.get(kind), Mapping)}
    yield from ((kind, name) for kind, name in named.items() if isinstance(name, str))
    loggers = tree.get("logger")
    yield from (("logger", str(name)) for name in loggers or ())


def _providers(plugins: Plugins, kind: str, name: str) -> Iterator[str]:
    bare, _, distribution = name.partition("@")
    for plugin in plugins:
        if bare in plugin.get("provides", {}).get(kind, ()) and normalise(distribution) in ("", plugin["name"]):
            yield str(plugin["name"])
