"""Plugins that do everything wrong: each gets a status and a reason, and nothing else happens (fault P1)."""

from __future__ import annotations

import builtins
import io
import json
import re
import sys
from typing import Any

import pytest

from puffer_core import PluginError
from puffer_core.plugins import FIRST_PARTY, PluginHost

HOOK = "from puffer_core import EnvSpec, TrainerSpec, hookimpl\n@hookimpl\n"
TRAINER = 'TrainerSpec(name="mine", summary="", target="a:B")'

SOURCES = {
    "import-error": ("import nowhere_at_all", "broken", "No module named 'nowhere_at_all' (in import_error, line 1)"),
    "syntax-error": ("def (", "broken", "SyntaxError: invalid syntax (syntax_error.py, line 1)"),
    "null-byte": ("\0", "broken", "SyntaxError: source code string cannot contain null bytes"),
    "raises": ("1 / 0", "broken", "ZeroDivisionError: division by zero (in raises, line 1)"),
    "exits": ("import sys\nraise SystemExit(0)", "broken", "SystemExit: 0 (in exits, line 2)"),
    "exits-from-below": ("raise BaseException('out')", "broken", "BaseException: out"),
    "recurses": ("def f(): f()\nf()", "broken", "RecursionError"),
    "escapes": ("raise ValueError('\\x1b[2J\\n\\rgone')", "broken", "ValueError: ?[2J gone"),
    "unprintable": (
        "class E(Exception):\n    def __str__(self): raise KeyError\nraise E",
        "broken",
        "E: (its message cannot be shown)",
    ),
    "no-module": (None, "broken", "ModuleNotFoundError: No module named 'no_module'"),
    "no-hook": ("x = 1", "broken", "no_hook implements no hook: mark its functions with @hookimpl"),
    "unmarked": ("def puffer_envs(): return []", "incompatible", "puffer_envs is not marked: decorate it with"),
    "unknown-hook": (
        f"{HOOK}def puffer_trainer(): return []",
        "incompatible",
        "puffer_trainer is no hook of this puffer-core. Did you mean puffer_trainers",
    ),
    "wrong-signature": (f"{HOOK}def puffer_envs(size): return []", "incompatible", "Argument(s) {'size'} are declared"),
    "wrapper": (
        "from puffer_core import hookimpl\n@hookimpl(wrapper=True)\ndef puffer_envs():\n    return (yield)",
        "incompatible",
        "puffer_envs is a wrapper",
    ),
    "returns-none": (
        f"{HOOK}def puffer_trainers(): pass",
        "broken",
        "puffer_trainers returned NoneType, expected a list of TrainerSpec",
    ),
    "returns-text": (f"{HOOK}def puffer_trainers(): return 'mine'", "broken", "puffer_trainers returned str"),
    "yields": (f"{HOOK}def puffer_trainers(): yield {TRAINER}", "broken", "puffer_trainers returned generator"),
    "wrong-class": (
        f"{HOOK}def puffer_envs(): return [{TRAINER}]",
        "broken",
        "puffer_envs returned a TrainerSpec, expected only EnvSpec",
    ),
    "not-a-spec": (f"{HOOK}def puffer_envs(): return [object()]", "broken", "puffer_envs returned a object"),
    "summary-is-none": (
        f"{HOOK}def puffer_trainers(): return [TrainerSpec(name='mine', summary=None, target='a:B')]",
        "broken",
        "summary and backends of mine must be text",
    ),
    "bad-name": (
        f"{HOOK}def puffer_trainers(): return [TrainerSpec(name='Not Good', summary='', target='a:B')]",
        "broken",
        "ValueError: trainer name 'Not Good'",
    ),
    "bad-target": (
        f"{HOOK}def puffer_trainers(): return [TrainerSpec(name='mine', summary='', target='a.B')]",
        "broken",
        "target is 'a.B', expected 'module:Attribute'",
    ),
    "hook-raises": (f"{HOOK}def puffer_trainers(): raise SystemExit(3)", "broken", "SystemExit: 3 (in hook_raises"),
    "twice-the-same": (f"{HOOK}def puffer_trainers(): return [{TRAINER}] * 2", "broken", "provides trainer mine twice"),
    "patches-builtins": (
        f"import builtins\nbuiltins.print = builtins.open = None\n{HOOK}def puffer_envs(): return []",
        "broken",
        "it replaced builtins: open, print",
    ),
    "removes-builtins": (
        f"import builtins\n{HOOK}def puffer_envs(): return []\nvars(builtins).clear()",
        "broken",
        "NameError: name 'filter' is not defined",
    ),
    "replaces-stdout": (f"import sys\nsys.stdout = None\n{HOOK}def puffer_envs(): return []", "ok", ""),
    "prints": (
        f"import os\nprint('noise')\nos.system('echo more noise')\n{HOOK}def puffer_envs(): print('noise'); return []",
        "ok",
        "",
    ),
    "shouts-in-ansi": (
        f"{HOOK}def puffer_envs(): return [EnvSpec(name='loud', summary='\\x1b[3m', target='a:B')]",
        "ok",
        "",
    ),
}

METADATA: dict[str, tuple[dict[str, Any], str, str]] = {
    "future-core": ({"requires": ("puffer-core>=99",)}, "incompatible", "it requires puffer-core>=99, and puffer-core"),
    "past-core": ({"requires": ("numpy", "puffer_core (<0.1)")}, "incompatible", "it requires puffer_core (<0.1)"),
    "no-version": ({"metadata": "Name: no-version\n"}, "broken", "no valid Version; reinstall it"),
    "malformed-entry": (
        {"entry_points": "[puffer.plugins]\nplug = not a module!\n"},
        "broken",
        "Invalid object reference",
    ),
    "no-equals-sign": ({"entry_points": "[puffer.plugins]\nplug\n"}, "broken", "entry_points.txt cannot be read"),
    "binary-entries": (
        {"entry_points": b"[puffer.plugins]\n\xff\xfe = x", "requires": ("puffer-core",)},
        "broken",
        "entry_points.txt cannot be read: UnicodeDecodeError",
    ),
    "no-attribute": (
        {"entry_points": "[puffer.plugins]\nplug = json:Missing\n"},
        "broken",
        "has no attribute 'Missing'",
    ),
    "names-none": ({"entry_points": "[puffer.plugins]\nplug = math:__package__\n"}, "broken", "implements no hook"),
}
NAMELESS: dict[str, dict[str, Any]] = {
    "empty-metadata": {"metadata": "", "entry_points": "[puffer.plugins]\nempty-metadata = json\n"},
    "binary-metadata": {"metadata": b"\xff\xfe\x00", "entry_points": "[puffer.plugins]\nbinary-metadata = json\n"},
    "escape-in-name": {
        "metadata": "Name: \x1b[2J\nVersion: 1\n",
        "entry_points": "[puffer.plugins]\nescape-in-name = json\n",
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_hostile_module_is_judged_and_harms_nobody(site: Any, name: str) -> None:
    source, status, reason = SOURCES[name]
    site.install(name, source)
    site.install_trainer("good", "sound")
    host = site.discover(name, "good")
    record = host.record(name)
    assert (record.status, reason in record.reason) == (status, True), record
    assert record.reason.isprintable()
    assert host.find("trainer", "sound").provider == "good 1.0"
    assert builtins.print is print
    assert builtins.len is len


@pytest.mark.parametrize("name", METADATA)
def test_hostile_metadata_is_judged_and_harms_nobody(site: Any, name: str) -> None:
    settings, status, reason = METADATA[name]
    site.install(name, **settings)
    site.install_trainer("good", "sound")
    host = site.discover(name, "good")
    record = host.record(name)
    assert (record.status, reason in record.reason) == (status, True), record
    assert host.find("trainer", "sound")


@pytest.mark.parametrize("name", NAMELESS)
def test_a_distribution_without_a_name_goes_by_its_entry_point(site: Any, name: str) -> None:
    site.install(name, **NAMELESS[name])
    record = site.discover(name).record(name)
    assert record.status == "broken"
    assert record.reason.startswith("corrupt metadata in ")
    assert record.reason.isprintable()


def test_a_rejected_plugin_provides_nothing_and_stays_unregistered(site: Any) -> None:
    bad = "from puffer_core import TrainerSpec, hookimpl\n"
    bad += '@hookimpl\ndef puffer_trainers(): return [TrainerSpec(name="mine", summary="", target="a:B")]\n'
    bad += "@hookimpl\ndef puffer_update_end(): print('called')\n"
    bad += "@hookimpl\ndef puffer_commands(): raise OSError\n"
    site.install("bad", bad)
    host = site.discover("bad")
    assert host.provided("trainer") == []
    assert host.record("bad").provides == {}
    with pytest.raises(PluginError, match="broken"):
        host.find("trainer", "mine@bad")


def test_the_traceback_is_kept_for_whoever_asks(site: Any) -> None:
    site.install("bad", "def f():\n    raise ValueError('deep')\nf()")
    detail = site.discover("bad").record("bad").detail
    assert "line 2, in f" in detail
    assert detail.endswith("ValueError: deep\n")


def test_ctrl_c_at_import_is_not_swallowed(site: Any) -> None:
    site.install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.discover("slow")


def test_prints_at_import_do_not_reach_stdout(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("noisy", "print('noise')")
    site.discover("noisy")
    assert capsys.readouterr() == ("", "noise\n")


def test_a_process_without_stderr_survives_prints(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("noisy", "print('noise')")
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    site.discover("noisy")
    assert sys.stdout.getvalue() == ""  # type: ignore[union-attr]


@pytest.fixture
def zoo(site: Any) -> Any:
    """All of them in one place, and a sound plugin with a command."""
    for name, (source, _, _) in SOURCES.items():
        site.install(name, source)
    for name, (settings, _, _) in METADATA.items():
        site.install(name, **settings)
    for name, nameless in NAMELESS.items():
        site.install(name, **nameless)
    command = "from puffer_core import CommandSpec, hookimpl\n"
    command += "@hookimpl\ndef puffer_commands():\n"
    command += '    return [CommandSpec(name="greet", summary="says hello", target="good:greet")]\n'
    command += "def greet(arguments):\n    print('hello', *arguments)\n    return 7\n"
    site.install("good", command)
    return site


def test_the_command_line_works_among_all_of_them(zoo: Any) -> None:
    listed = zoo.puffer("plugins", "list", "--json")
    statuses = {record["name"]: record["status"] for record in json.loads(listed.stdout)}
    expected = {name: case[1] for name, case in (SOURCES | METADATA).items()}
    expected |= dict.fromkeys(NAMELESS, "broken") | {"good": "ok"}
    assert {name: status for name, status in statuses.items() if name not in FIRST_PARTY} == expected
    assert len(expected) > 40
    assert listed.returncode == 0


def test_help_and_commands_of_sound_plugins_work_among_all_of_them(zoo: Any) -> None:
    assert re.search(r"greet +says hello \(good 1\.0\)", zoo.puffer("--help").stdout)
    ran = zoo.puffer("greet", "you", "--loudly")
    assert (ran.stdout, ran.returncode) == ("hello you --loudly\n", 7)


def test_a_hundred_plugins_are_listed(site: Any) -> None:
    """Fault P3; what it costs is printed by benchmarks/startup.py."""
    for number in range(100):
        site.install_trainer(f"extra-{number}", f"trainer-{number}")
    host = site.discover(*(f"extra-{number}" for number in range(100)))
    assert len(host.provided("trainer")) == 100
    assert {record.status for record in host.records if record.name.startswith("extra-")} == {"ok"}


def test_nothing_at_all_is_installed(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that is on the path without being installed still has its own plugin."""
    monkeypatch.setattr(sys, "path", [str(site.path)])
    host = PluginHost.discover(environ={})
    assert [(record.name, record.version, record.status) for record in host.records] == [("puffer-core", "", "ok")]
