"""Finding components, their provenance, and what a name that leads nowhere is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from puffer_core import EnvSpec, PluginError, TrainerSpec, UsageError
from puffer_core.plugins import FIRST_PARTY, KINDS, PluginHost
from puffer_core.plugins.records import RESERVED_COMMANDS

ROOT = Path(__file__).parents[4]


def test_a_component_comes_with_its_provenance(site: Any) -> None:
    site.install_trainer("Puffer_Mine", "mine", version="2.1")
    provided = site.discover("puffer-mine").find("trainer", "mine")
    assert isinstance(provided.spec, TrainerSpec)
    assert (provided.distribution, provided.version) == ("puffer-mine", "2.1")


def test_components_are_sorted_by_name_and_distribution(site: Any) -> None:
    for distribution, name in (("b", "one"), ("a", "two"), ("c", "one")):
        site.install_trainer(distribution, name)
    provided = site.discover("a", "b", "c").provided("trainer")
    assert [(item.spec.name, item.distribution) for item in provided] == [("one", "b"), ("one", "c"), ("two", "a")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_registered_by_its_hook(site: Any, kind: str) -> None:
    hook, spec = KINDS[kind]
    site.install(
        "mine",
        f"from puffer_core import {spec.__name__}, hookimpl\n"
        f"@hookimpl\ndef {hook}(): return [{spec.__name__}(name='mine', summary='', target='a:B')]",
    )
    host = site.discover("mine")
    assert type(host.find(kind, "mine").spec) is spec
    assert host.record("mine").provides == {kind: ["mine"]}
    assert host.record("mine").hooks == (hook,)


def test_one_entry_point_may_name_an_object(site: Any) -> None:
    source = (
        "from puffer_core import TrainerSpec, hookimpl\nclass Plugin:\n    @hookimpl\n    def puffer_trainers(self):\n"
    )
    source += "        return [TrainerSpec(name='mine', summary='', target='a:B')]\nplugin = Plugin()"
    site.install("mine", source, entry_points="[puffer.plugins]\nplug = mine:plugin\n")
    assert site.discover("mine").find("trainer", "mine")


def test_several_entry_points_are_one_plugin(site: Any) -> None:
    site.install_trainer("first", "one")
    site.install_trainer("second", "two")
    site.install("both", None, entry_points="[puffer.plugins]\na = first\nb = second\n")
    record = site.discover("both").record("both")
    assert record.provides == {"trainer": ["one", "two"]}
    assert (record.module, record.entries) == ("first, second", ("a", "b"))


def test_a_plugin_is_whole_or_not_there(site: Any) -> None:
    site.install_trainer("first", "one")
    site.install("both", None, entry_points="[puffer.plugins]\na = first\nb = nowhere\n")
    host = site.discover("both")
    assert host.record("both").status == "broken"
    assert host.provided("trainer") == []


class TestConflict:
    """Two providers of one name (fault P2)."""

    @pytest.fixture
    def host(self, site: Any) -> PluginHost:
        site.install_trainer("here", "twin")
        site.install_trainer("there", "twin", version="3.0")
        site.install_trainer("other", "single")
        host: PluginHost = site.discover("here", "there", "other")
        return host

    def test_the_bare_name_is_an_error_that_names_both(self, host: PluginHost) -> None:
        with pytest.raises(PluginError) as caught:
            host.find("trainer", "twin")
        assert caught.value.message == "trainer 'twin' is provided by here 1.0 and there 3.0"
        assert caught.value.remedy == "Say which: twin@here or twin@there."

    def test_each_is_usable_with_its_distribution(self, host: PluginHost) -> None:
        assert host.find("trainer", "twin@here").version == "1.0"
        assert host.find("trainer", "twin@There").version == "3.0"

    def test_the_records_say_so_and_others_do_not(self, host: PluginHost) -> None:
        record = host.record("here")
        assert (record.status, record.usable) == ("conflict", True)
        assert record.reason == "trainer twin is provided by there too: use twin@here"
        assert host.record("other").status == "ok"

    def test_a_third_party_conflicts_with_the_core_too(self, site: Any) -> None:
        source = "from puffer_core import BackendSpec, hookimpl\n@hookimpl\ndef puffer_backends():\n"
        site.install("rival", source + "    return [BackendSpec(name='numpy', summary='', target='a:B')]")
        host = site.discover("rival")
        assert {host.record(name).status for name in ("rival", "puffer-core")} == {"conflict"}
        assert host.find("backend", "numpy@puffer-core")

    def test_a_command_of_ours_is_not_taken(self, site: Any) -> None:
        source = "from puffer_core import CommandSpec, hookimpl\n@hookimpl\ndef puffer_commands():\n"
        site.install("rival", source + "    return [CommandSpec(name='train', summary='', target='a:B')]")
        host = site.discover("rival")
        assert host.record("rival").reason == "command train is provided by puffer-core too: use train@rival"
        assert host.record("puffer-core").status == "ok"


class TestUnknownName:
    """What leads nowhere names what is near."""

    def test_the_nearest_names_are_offered(self, site: Any) -> None:
        site.install_trainer("mine", "gradient")
        with pytest.raises(UsageError) as caught:
            site.discover("mine").find("trainer", "gradent")
        assert str(caught.value) == "unknown trainer 'gradent'\nDid you mean gradient?"

    def test_a_distribution_that_lacks_the_name_is_named(self, site: Any) -> None:
        site.install_trainer("mine", "gradient")
        with pytest.raises(UsageError) as caught:
            site.discover("mine").find("trainer", "gradent@mine")
        assert str(caught.value) == "mine provides no trainer 'gradent'\nDid you mean gradient@mine?"

    def test_our_own_packages_are_offered_where_they_are_not_installed(
        self, site: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(site.path)])
        with pytest.raises(UsageError) as caught:
            PluginHost.discover(environ={}).find("trainer", "ppo")
        assert caught.value.remedy == "Install it: pip install puffer-ppo"

    @pytest.mark.parametrize("name", ["gradient", "gradient@puffer-gradient"])
    def test_a_broken_provider_is_blamed(self, site: Any, name: str) -> None:
        site.install("puffer-gradient", "1 / 0")
        with pytest.raises(PluginError) as caught:
            site.discover("puffer-gradient").find("trainer", name)
        assert caught.value.message.startswith(
            "trainer 'gradient' is not available: puffer-gradient 1.0 is broken: ZeroDivisionError"
        )
        assert caught.value.remedy == "See `puffer plugins show puffer-gradient`."

    def test_a_disabled_provider_is_blamed(self, site: Any) -> None:
        site.install_trainer("gradient", "gradient")
        with pytest.raises(PluginError, match="is disabled: -p no:gradient"):
            site.discover("gradient", blocked=("gradient",)).find("trainer", "gradient")

    def test_an_unknown_plugin_names_the_nearest(self, site: Any) -> None:
        with pytest.raises(UsageError, match="Did you mean puffer-core"):
            site.discover().record("pufer-core")


class TestUnpackaged:
    """`py:module:Attribute`."""

    def test_it_is_wrapped_in_the_spec_of_its_kind(self, site: Any) -> None:
        provided = site.discover().find("env", "py:my_module:Outer.MyEnv_2")
        assert isinstance(provided.spec, EnvSpec)
        assert (provided.spec.name, provided.spec.target) == ("outer-myenv-2", "my_module:Outer.MyEnv_2")
        assert (provided.distribution, provided.version) == ("", "")

    @pytest.mark.parametrize("attribute", ["_", "_1", "_9x"])
    def test_a_name_without_letters_in_front_still_works(self, site: Any, attribute: str) -> None:
        assert site.discover().find("env", f"py:m:{attribute}").spec.name in {"env", "x"}

    @pytest.mark.parametrize("name", ["py:", "py:module", "py:module:", "py:a-b:C", "py:a:b:c"])
    def test_a_malformed_one_is_told_the_form(self, site: Any, name: str) -> None:
        with pytest.raises(UsageError) as caught:
            site.discover().find("env", name)
        assert caught.value.remedy == "Write py:module:Attribute, as in py:my_package:Mine."

    def test_it_is_loaded_from_the_path(self, site: Any) -> None:
        (site.path / "outside.py").write_text("class Mine: pass")
        host = site.discover()
        assert host.load(host.find("env", "py:outside:Mine")).__name__ == "Mine"

    def test_a_policys_class_says_itself_what_it_runs_on_and_what_its_options_are(self, site: Any) -> None:
        (site.path / "declaring.py").write_text("class Mine:\n backends = {'torch'}\n class Config: pass")
        spec = site.discover().find("policy", "py:declaring:Mine").spec
        assert (spec.backends, spec.config) == ({"torch"}, "declaring:Mine.Config")

    def test_a_policys_class_need_not_say_anything(self, site: Any) -> None:
        (site.path / "silent.py").write_text("class Mine: pass")
        spec = site.discover().find("policy", "py:silent:Mine").spec
        assert (spec.backends, spec.config) == (frozenset(), "")

    def test_one_that_cannot_be_imported_says_how_imports_work(self, site: Any) -> None:
        host = site.discover()
        with pytest.raises(UsageError) as caught:
            host.load(host.find_env("py:nowhere_at_all:Mine"))
        assert "ModuleNotFoundError: No module named 'nowhere_at_all'" in caught.value.message
        assert "PYTHONPATH=." in caught.value.remedy


class TestLoad:
    """Importing what a component names."""

    @pytest.mark.parametrize("source", ["import nowhere", "raise SystemExit", "x = 1"])
    def test_a_target_that_fails_names_its_distribution(self, site: Any, source: str) -> None:
        site.install_trainer("mine", "mine")
        (site.path / "mine_target.py").write_text(source)
        host = site.discover("mine")
        with pytest.raises(
            PluginError, match=r"trainer mine of mine 1.0 cannot be imported \(mine_target:Target\)"
        ) as caught:
            host.load(host.find("trainer", "mine"))
        needs = "It needs nowhere, which is not installed: pip install mine"
        again = "Reinstall or update it: pip install --upgrade mine"
        assert caught.value.remedy == (needs if source == "import nowhere" else again)
        assert caught.value.__cause__ is not None

    def test_what_a_target_prints_does_not_reach_stdout(self, site: Any, capsys: pytest.CaptureFixture[str]) -> None:
        site.install_trainer("mine", "mine")
        (site.path / "mine_target.py").write_text("print('hello from pygame')\nTarget = 1")
        host = site.discover("mine")
        assert host.load(host.find("trainer", "mine")) == 1
        assert capsys.readouterr() == ("", "hello from pygame\n")

    def test_an_error_meant_for_the_user_passes(self, site: Any) -> None:
        site.install_trainer("mine", "mine")
        (site.path / "mine_target.py").write_text(
            "from puffer_core import ResourceError\nraise ResourceError('no GPU')"
        )
        host = site.discover("mine")
        with pytest.raises(Exception, match="no GPU") as caught:
            host.load(host.find("trainer", "mine"))
        assert caught.value.exit_code == 6  # type: ignore[attr-defined]

    def test_the_config_is_loaded_where_there_is_one(self, site: Any) -> None:
        source = "from puffer_core import TrainerSpec, hookimpl\n@hookimpl\ndef puffer_trainers():\n"
        source += "    return [TrainerSpec(name='with', summary='', target='a:B', config='mine:Config'),\n"
        source += "            TrainerSpec(name='without', summary='', target='a:B')]\nclass Config: pass"
        site.install("mine", source)
        host = site.discover("mine")
        assert host.load_config(host.find("trainer", "with")).__name__ == "Config"
        assert host.load_config(host.find("trainer", "without")) is None


def test_describe_is_what_plugins_json_keeps(site: Any) -> None:
    site.install_trainer("mine", "mine")
    described = {plugin["name"]: plugin for plugin in site.discover("mine").describe()}
    assert described["mine"] == {
        "name": "mine",
        "version": "1.0",
        "status": "ok",
        "reason": "",
        "module": "mine",
        "provides": {"trainer": ["mine"]},
    }


def test_our_own_distributions_are_those_of_the_repository() -> None:
    assert {path.parent.name for path in ROOT.glob("packages/*/pyproject.toml")} == FIRST_PARTY


def test_reserved_commands_are_those_of_the_command_line() -> None:
    from puffer_core.cli.main import COMMANDS

    assert set(COMMANDS) == RESERVED_COMMANDS
