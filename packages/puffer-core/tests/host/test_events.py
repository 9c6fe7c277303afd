"""Event hooks and resolvers: each implementation is on its own."""

from __future__ import annotations

from typing import Any

import pytest

from puffer_core import PluginError, UsageError

COUNTING = """
from puffer_core import hookimpl
calls = []

@hookimpl
def puffer_update_end(step, metrics):
    calls.append((step, metrics))
    {body}
"""
RESOLVER = """
from puffer_core import EnvSpec, UsageError, hookimpl

@hookimpl
def puffer_resolve_env(id):
    {body}
"""


def calls_of(name: str) -> list[Any]:
    import importlib

    found: list[Any] = importlib.import_module(name).calls
    return found


def test_every_implementation_is_told_with_the_arguments_it_takes(site: Any) -> None:
    site.install("one", COUNTING.format(body=""))
    site.install("two", COUNTING.format(body=""))
    host = site.discover("one", "two")
    host.notify("puffer_update_end", run=None, step=3, metrics={"loss": 0.5})
    assert calls_of("one") == calls_of("two") == [(3, {"loss": 0.5})]


@pytest.mark.parametrize("body", ["raise ValueError('bad\\nnews')", "raise SystemExit(0)"])
def test_one_that_raises_is_reported_once_and_muted_after_three(
    site: Any, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("bad", COUNTING.format(body=body.replace("\n", "\\n")))
    site.install("good", COUNTING.format(body=""))
    host = site.discover("bad", "good")
    for step in range(5):
        host.notify("puffer_update_end", run=None, step=step, metrics={})
    assert (len(calls_of("bad")), len(calls_of("good"))) == (3, 5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: bad: puffer_update_end: ")
    assert lines[0].endswith("after 3 such errors it is not called again")


def test_an_event_that_does_not_exist_is_our_bug(site: Any) -> None:
    with pytest.raises(AttributeError):
        site.discover().notify("puffer_party")


def test_ctrl_c_in_an_event_passes(site: Any) -> None:
    site.install("bad", COUNTING.format(body="raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        site.discover("bad").notify("puffer_update_end", run=None, step=0, metrics={})


class TestFindEnv:
    """Registered names first, then the resolvers."""

    def test_a_resolved_env_comes_with_its_provenance(self, site: Any) -> None:
        body = "return EnvSpec(name='pong', summary='', target='a:B') if id == 'arcade:pong' else None"
        site.install("arcade", RESOLVER.format(body=body))
        provided = site.discover("arcade").find_env("arcade:pong")
        assert (provided.spec.name, provided.distribution, provided.version) == ("pong", "arcade", "1.0")

    def test_a_registered_name_is_not_asked_for(self, site: Any) -> None:
        source = "from puffer_core import EnvSpec, hookimpl\n"
        source += "@hookimpl\ndef puffer_envs(): return [EnvSpec(name='pong', summary='', target='a:B')]\n"
        source += "@hookimpl\ndef puffer_resolve_env(id): raise AssertionError\n"
        site.install("mine", source)
        host = site.discover("mine")
        assert host.find_env("pong").spec.target == "a:B"
        assert host.find_env("pong@mine").distribution == "mine"

    @pytest.mark.parametrize("body", ["raise OSError", "return 'pong'"])
    def test_a_resolver_that_fails_is_reported_and_the_next_is_asked(
        self, site: Any, body: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site.install("a-sound", RESOLVER.format(body="return EnvSpec(name='pong', summary='', target='a:B')"))
        site.install("b-bad", RESOLVER.format(body=body))
        assert site.discover("a-sound", "b-bad").find_env("x:pong").distribution == "a-sound"
        assert capsys.readouterr().err.startswith("warning: b-bad: puffer_resolve_env: ")

    def test_an_answer_for_the_user_passes(self, site: Any) -> None:
        site.install("arcade", RESOLVER.format(body="raise UsageError('no such game')"))
        with pytest.raises(UsageError, match="no such game"):
            site.discover("arcade").find_env("arcade:pung")

    def test_nobody_knows_it(self, site: Any) -> None:
        source = "from puffer_core import EnvSpec, hookimpl\n"
        source += "@hookimpl\ndef puffer_envs(): return [EnvSpec(name='cartpole', summary='', target='a:B')]\n"
        site.install("mine", source)
        with pytest.raises(UsageError) as caught:
            site.discover("mine").find_env("cartpol")
        assert caught.value.message == "unknown env 'cartpol'"
        assert caught.value.remedy == "Did you mean cartpole? Gymnasium's ids work as gymnasium:ID."

    def test_a_family_whose_plugin_is_broken_is_blamed_on_it(self, site: Any) -> None:
        site.install("puffer-env-arcade", "1 / 0")
        with pytest.raises(PluginError, match="env 'arcade:pong' is not available: puffer-env-arcade"):
            site.discover("puffer-env-arcade").find_env("arcade:pong")


def test_the_core_is_asked_last_and_only_about_what_may_be_gymnasiums(site: Any) -> None:
    site.install("rival", RESOLVER.format(body="return EnvSpec(name='mine', summary='', target='a:B')"))
    host = site.discover("rival")
    assert host.find_env("gymnasium:CartPole-v1").distribution == "rival"


@pytest.mark.parametrize("id", ["cartpole", "-v1", "a-vb", "pettingzoo:simple", "a-v"])
def test_the_core_does_not_import_gymnasium_for_a_typing_error(id: str) -> None:
    from puffer_core.plugin import puffer_resolve_env

    assert puffer_resolve_env(id) is None
