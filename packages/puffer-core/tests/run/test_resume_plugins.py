"""What a run was saved with, against what is installed now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from puffer_core import api
from puffer_core.checkpoints.manifest import Manifest, sealed
from puffer_core.checkpoints.reading import MANIFEST
from puffer_core.errors import CheckpointError
from puffer_core.plugins import PluginHost
from puffer_core.plugins.records import PluginRecord, Provided
from puffer_core.run.directory import Run

Stop = Callable[..., Path]
WALK = "puffer-walk"


def without(host: PluginHost, *kinds: str, status: Any = None) -> PluginHost:
    """The host once `puffer-walk` no longer provides these kinds; all kinds: it is gone, or of another status."""
    host._provided = [item for item in host._provided if item.distribution != WALK or item.spec.KIND not in kinds]
    if status is not None:
        host.records = (
            *(r for r in host.records if r.name != WALK),
            PluginRecord(WALK, "1.0", status, "it was blocked"),
        )
    elif not any(item.distribution == WALK for item in host._provided):
        host.records = tuple(record for record in host.records if record.name != WALK)
    return host


ALL = ("env", "policy", "trainer", "backend", "logger")


def forge(run: Path, **changes: Any) -> None:
    """Change what the manifest of the last checkpoint says, and seal it anew."""
    path = Run(run).latest / MANIFEST
    said = json.loads(path.read_bytes()) | changes
    path.write_bytes(sealed(Manifest.model_validate(said)))


def manifest(run: Path) -> Any:
    return json.loads((Run(run).latest / MANIFEST).read_bytes())


def test_what_is_gone_is_named_with_the_command_that_brings_it_back(host: PluginHost, stop: Stop) -> None:
    path = stop()
    with pytest.raises(CheckpointError, match=r"is of puffer-walk 1\.0, which is not installed") as refused:
        api.resume(path, host=without(host, *ALL))
    assert refused.value.remedy == "pip install puffer-walk==1.0"
    assert refused.value.exit_code == 4


def test_what_is_switched_off_is_said_to_be(host: PluginHost, stop: Stop) -> None:
    path = stop()
    with pytest.raises(CheckpointError, match="which is disabled: it was blocked") as refused:
        api.resume(path, host=without(host, *ALL, status="disabled"))
    assert refused.value.remedy == "see `puffer plugins show puffer-walk`"


def provided_by(host: PluginHost, kind: str, distribution: str) -> PluginHost:
    """As if `puffer-walk`'s component of a kind came from another distribution."""
    host._provided = [
        replace(item, distribution=distribution) if item.distribution == WALK and kind == item.spec.KIND else item
        for item in host._provided
    ]
    names = {kind: [item.spec.name for item in host._provided if item.distribution == distribution]}
    host.records += (PluginRecord(distribution, "2.1", "ok", provides=names),)
    return host


@pytest.mark.parametrize(("kind", "options"), [("env", {}), ("logger", {"logger": ["memory"]})])
def test_an_env_or_a_logger_that_is_gone_is_named_too(
    host: PluginHost, stop: Stop, kind: str, options: dict[str, Any]
) -> None:
    path = stop(**options) if provided_by(host, kind, "puffer-other") else Path()
    host._provided = [item for item in host._provided if item.distribution != "puffer-other"]
    host.records = tuple(record for record in host.records if record.name != "puffer-other")
    with pytest.raises(CheckpointError, match=f"{kind} .* is of puffer-other 2.1, which is not installed") as refused:
        api.resume(path, host=host)
    assert refused.value.remedy == "pip install puffer-other==2.1"


def test_a_logger_that_is_gone_can_be_done_without(host: PluginHost, stop: Stop) -> None:
    path = stop(logger=["memory"])
    assert api.resume(path, logger=[], host=without(host, "logger")).latest.name == "step-000000000032"


def test_an_env_that_a_plugin_knew_without_a_list_names_what_is_gone(host: PluginHost, stop: Stop) -> None:
    path = stop()
    said = manifest(path)["plugins"]
    forge(path, plugins=[*said, {"name": "puffer-fields", "version": "3.0", "status": "ok", "provides": {}}])
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"source": "fields:green"}))
    with pytest.raises(CheckpointError, match="fields:green") as refused:
        api.resume(path, host=host)
    assert refused.value.remedy == "what it was made with is gone: pip install puffer-fields==3.0"


def test_options_that_a_plugin_no_longer_has_are_told(host: PluginHost, stop: Stop) -> None:
    path = stop()
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"old_option": 3}))
    with pytest.raises(CheckpointError, match=r"config\.json: .*old_option"):
        api.resume(path, host=host)


def test_each_kind_of_difference_is_one_warning(
    host: PluginHost, stop: Stop, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stop()
    said = manifest(path)
    plugins = [plugin | {"version": "0.0.1"} for plugin in said["plugins"] if plugin["name"] != "puffer-env-native"]
    gone = {"name": "puffer-gone", "version": "1.0", "status": "ok", "provides": {}}
    forge(path, plugins=[*plugins, gone], runtime=said["runtime"] | {"python": "3.0"})
    capsys.readouterr()
    assert api.resume(path, host=host).latest.name == "step-000000000032"
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 3
    assert "other versions" in warnings[0]
    assert "python 3.0 -> " in warnings[0]
    assert "puffer-walk 0.0.1 -> 1.0" in warnings[0]
    assert warnings[1].endswith("does not need them: puffer-gone")
    assert warnings[2].endswith("saved without: puffer-env-native")


def test_nothing_is_said_where_nothing_differs(
    host: PluginHost, stop: Stop, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stop()
    capsys.readouterr()
    api.resume(path, host=host)
    assert capsys.readouterr().err == ""


def test_another_env_of_the_same_name_is_refused(
    host: PluginHost, plans: ModuleType, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stop()
    monkeypatch.setattr(plans.parts(), "Walk", plans.parts().WideWalk)
    with pytest.raises(CheckpointError, match=r"observation: shape \(2,\) against \(3,\)") as refused:
        api.resume(path, host=host)
    assert "the env or the policy has changed" in refused.value.remedy
    assert not (path / "resumes.jsonl").exists()


def test_another_env_of_the_same_name_is_not_played_in(
    host: PluginHost, plans: ModuleType, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stop()
    monkeypatch.setattr(plans.parts(), "Walk", plans.parts().WideWalk)
    with pytest.raises(CheckpointError, match=r"for another env than .*: observation: shape \(2,\) against \(3,\)"):
        api.evaluate(path, host=host)


def test_a_policy_with_another_memory_is_refused(host: PluginHost, stop: Stop) -> None:
    path = stop()
    forge(path, policy=manifest(path)["policy"] | {"carry": {"0": {"shape": [2], "dtype": "float32"}}})
    with pytest.raises(CheckpointError, match=r"carry of the policy: .* against \{\}"):
        api.resume(path, host=host)


def test_a_component_that_a_new_plugin_adds_can_be_left_out(host: PluginHost, plans: ModuleType, stop: Stop) -> None:
    from puffer_core.specs import CheckpointableSpec

    path = stop()
    spec = plans.part(CheckpointableSpec, "counter", "Counter").spec
    host._provided.append(Provided(spec, "puffer-counter", "1.2"))
    with pytest.raises(CheckpointError, match="no state of counter") as refused:
        api.resume(path, host=host)
    assert refused.value.remedy == "leave that plugin out: puffer -p no:puffer-counter resume ..."
