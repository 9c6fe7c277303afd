"""The command line as people meet it: every end has an exit code, and no end has a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puffer_core.cli import listing
from puffer_core.cli.main import COMMANDS, main
from puffer_core.cli.parser import Parser
from puffer_core.cli.process import as_process, stdout_on_stderr
from puffer_core.errors import PufferWarning

COMMAND = """
from puffer_core import CommandSpec, PluginError, hookimpl

@hookimpl
def puffer_commands():
    return [CommandSpec(name="{name}", summary="does it", target="mine:command")]

def command(arguments):
    {body}
"""


@pytest.fixture
def mine(site: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Installs `mine`, the only plugin beside the core, whose command `act` has this body."""
    monkeypatch.setenv("PUFFER_PLUGINS", "mine")
    return lambda body, name="act": site.install("mine", COMMAND.format(name=name, body=body))


@pytest.fixture(autouse=True)
def core_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what happens to be installed here is loaded."""
    monkeypatch.setenv("PUFFER_PLUGINS", "none")


def outcome(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    return code, *capsys.readouterr()


class TestUsage:
    """What is typed wrongly: exit 2, one message, the nearest names."""

    @pytest.mark.parametrize(
        ("argv", "error"),
        [
            (["plugin"], "unknown command 'plugin'\nDid you mean plugins?"),
            (["--hepl"], "puffer: unknown option --hepl\nDid you mean --help?"),
            (["envs", "--jsn"], "puffer envs: unknown option --jsn\nDid you mean --json?"),
            (["envs", "--js=1"], "puffer envs: unknown option --js\nDid you mean --json?"),
            (["envs", "all"], "puffer envs: unexpected argument 'all'\nSee `puffer envs --help`."),
            (["-p"], "puffer: argument -p: expected one argument\nSee `puffer --help`."),
            (["-p", "ppo"], "puffer: argument -p: got 'ppo', expected no:NAME with the name of a distribution"),
            (["-p", "no:"], "puffer: argument -p: got 'no:', expected no:NAME with the name of a distribution"),
            (["-p", "no:pufer-ppo", "envs"], "unknown plugin 'pufer-ppo'\nDid you mean puffer-ppo"),
            (["-p", "no:puffer-core", "envs"], "puffer-core cannot be disabled"),
            (["plugins", "lst"], "unknown action 'lst' of puffer plugins\nDid you mean list?"),
            (["plugins", "list", "mine"], "puffer plugins list takes no name, got 'mine'"),
            (["plugins", "show"], "puffer plugins show: no plugin is named"),
            (["plugins", "show", "pufer-core"], "unknown plugin 'pufer-core'\nDid you mean puffer-core"),
        ],
    )
    def test_it_is_answered(self, argv: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = outcome(capsys, *argv)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {error}")
        assert err.count("\n") == 2

    @pytest.mark.parametrize("name", [name for name, (target, _) in COMMANDS.items() if ":" not in target])
    def test_every_command_has_help(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = outcome(capsys, name, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"usage: puffer {name}")

    @pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["--help", "envs"], ["--no-plugins", "-h"]])
    def test_help_lists_the_commands(self, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = outcome(capsys, *argv)
        assert code == 0
        assert all(f"\n  {name} " in out for name in COMMANDS)

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = outcome(capsys, "--version")
        assert (code, out.split()[0]) == (0, "puffer")


@pytest.mark.parametrize(("command", "function"), [("train", "run_train"), ("eval", "run_eval")])
def test_train_and_eval_get_their_arguments_raw(command: str, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    seen: list[Any] = []
    target, _ = COMMANDS[command]
    name = target.partition(":")[0]
    module = types.ModuleType(name)
    setattr(module, function, lambda argv, host: seen.append((argv, host.provided("backend")[0].spec.name)) or 6)
    monkeypatch.setitem(sys.modules, name, module)
    assert main(["--debug", command, "ppo", "--help", "-p", "x", "--lr=1", "--", "y"]) == 6
    assert seen == [(["ppo", "--help", "-p", "x", "--lr=1", "--", "y"], "numpy")]


class TestPluginCommand:
    """Commands that plugins provide."""

    def test_it_is_listed_and_run_with_its_arguments(self, mine: Any, capsys: pytest.CaptureFixture[str]) -> None:
        mine("print(arguments)")
        assert "  act          does it (mine 1.0)\n" in outcome(capsys, "--help")[1]
        assert outcome(capsys, "act", "--x", "1") == (0, "['--x', '1']\n", "")

    @pytest.mark.parametrize(("body", "code"), [("return 5", 5), ("raise SystemExit(4)", 4), ("raise SystemExit", 0)])
    def test_its_exit_code_counts(self, mine: Any, body: str, code: int) -> None:
        mine(body)
        assert main(["act"]) == code

    def test_an_error_in_it_names_the_plugin(self, mine: Any, capsys: pytest.CaptureFixture[str]) -> None:
        mine("raise KeyError('x')")
        code, _, err = outcome(capsys, "act")
        assert code == 3
        assert err.startswith("error: command act of mine 1.0 failed: KeyError: 'x' (in mine, line ")
        assert "`puffer --debug act ...`" in err

    def test_its_own_message_passes(self, mine: Any, capsys: pytest.CaptureFixture[str]) -> None:
        mine("raise PluginError('no licence', remedy='buy one')")
        assert outcome(capsys, "act") == (3, "", "error: no licence\nbuy one\n")

    def test_one_of_ours_keeps_its_name(self, mine: Any, capsys: pytest.CaptureFixture[str]) -> None:
        mine("print('theirs')", name="envs")
        assert "  envs@mine    does it (mine 1.0)\n" in outcome(capsys, "--help")[1]
        assert outcome(capsys, "envs")[1].startswith("NAME")
        assert outcome(capsys, "envs@mine") == (0, "theirs\n", "")

    def test_its_name_is_offered_for_a_misspelt_one(self, mine: Any, capsys: pytest.CaptureFixture[str]) -> None:
        mine("pass", name="summarise")
        assert "Did you mean summarise" in outcome(capsys, "sumarise")[2]


class TestEnds:
    """Errors that nobody planned."""

    def test_an_internal_error_is_short_and_says_how_to_see_more(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("puffer_core.cli.listing.run", lambda arguments, host: {}["gone"])
        code, _, err = outcome(capsys, "envs")
        assert code == 1
        assert err.startswith("error: internal error: KeyError: 'gone'")
        assert "`puffer --debug envs ...` shows the traceback" in err
        assert "Traceback" not in err
        assert "Traceback" in outcome(capsys, "--debug", "envs")[2]

    def test_ctrl_c(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def interrupt(arguments: Any, host: Any) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr("puffer_core.cli.listing.run", interrupt)
        assert outcome(capsys, "envs") == (130, "", "")

    def test_a_broken_pipe_that_is_not_our_output_is_an_internal_error(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def break_pipe(arguments: Any, host: Any) -> int:
            raise BrokenPipeError("to a worker")

        monkeypatch.setattr("puffer_core.cli.listing.run", break_pipe)
        code, _, err = outcome(capsys, "envs")
        assert (code, "BrokenPipeError: to a worker" in err) == (1, True)

    @pytest.mark.parametrize(("error", "code"), [(BrokenPipeError(), 141), (KeyboardInterrupt(), 130)])
    def test_the_process_ends_quietly(self, error: BaseException, code: int, capfd: pytest.CaptureFixture[str]) -> None:
        def command() -> int:
            raise error

        saved = os.dup(1)
        try:
            assert as_process(command) == code
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        assert capfd.readouterr() == ("", "")


class TestProcess:
    """Fault K2: surroundings that a program does not choose."""

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_a_reader_that_goes_away(self, site: Any, unbuffered: str) -> None:
        for number in range(40):
            site.install(f"p-{number}", "raise ValueError('x' * 3000)")
        read, write = os.pipe()
        os.close(read)
        ran = subprocess.run(
            [sys.executable, "-m", "puffer_core", "plugins", "list"],
            stdout=write,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(site.path), "PYTHONUNBUFFERED": unbuffered, "PUFFER_PLUGINS": ""},
            text=True,
            check=False,
        )
        os.close(write)
        assert (ran.returncode, ran.stderr) == (141, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_a_full_disk(self, unbuffered: str) -> None:
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(
                [sys.executable, "-m", "puffer_core", "envs"],
                stdout=full,
                stderr=subprocess.PIPE,
                env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
                text=True,
                check=False,
            )
        assert ran.returncode == 6
        assert ran.stderr.startswith("error: ")
        assert "No space left on device" in ran.stderr
        assert "Traceback" not in ran.stderr

    @pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
    def test_closed_streams(self, closed: str) -> None:
        command = f"'{sys.executable}' -m puffer_core plugins list {closed}"
        ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")

    def test_an_encoding_that_cannot_show_everything(self, site: Any) -> None:
        source = "from puffer_core import EnvSpec, hookimpl\n@hookimpl\ndef puffer_envs():\n"
        site.install("mine", source + "    return [EnvSpec(name='mine', summary='\\u2192 caf\\xe9', target='a:B')]")
        ran = site.puffer(
            "envs", PUFFER_PLUGINS="mine", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", COLUMNS="1"
        )
        assert ran.returncode == 0
        assert "\\u2192 caf\\xe9" in ran.stdout

    def test_one_column(self, site: Any) -> None:
        assert site.puffer("--help", COLUMNS="1").returncode == 0

    def test_what_children_write_while_plugins_load_goes_to_stderr(self, capfd: pytest.CaptureFixture[str]) -> None:
        with stdout_on_stderr():
            subprocess.run(["echo", "written by a child"], check=True)
        subprocess.run(["echo", "after"], check=True)
        assert capfd.readouterr() == ("after\n", "written by a child\n")


class TestListings:
    """`puffer envs`, its siblings, and `puffer plugins`."""

    def test_a_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = outcome(capsys, "backends")
        header, line = out.splitlines()
        assert code == 0
        assert header.split() == ["NAME", "PROVIDER", "CAPABILITIES", "SUMMARY"]
        assert line.split()[:2] == ["numpy", "puffer-core"]
        assert header.index("SUMMARY") == line.index("NumPy")

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        (logger,) = json.loads(outcome(capsys, "loggers", "--json")[1])
        assert (logger["name"], logger["distribution"], logger["capabilities"]) == ("jsonl", "puffer-core", [])

    def test_envs_say_how_to_reach_gymnasium(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "gymnasium:CartPole-v1" in outcome(capsys, "envs")[1]
        assert json.loads(outcome(capsys, "envs", "--json")[1]) == []

    def test_envs_say_which_of_our_packages_know_more(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(listing, "FIRST_PARTY", frozenset({"puffer-core", "puffer-env-absent", "puffer-absent"}))
        assert outcome(capsys, "envs")[1].splitlines()[-1].split("  ")[0] == "more with: pip install puffer-env-absent"

    def test_envs_say_what_a_resolver_says_of_itself(
        self, site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PUFFER_PLUGINS", "mine,silent")
        body = "from puffer_core import hookimpl\n@hookimpl\ndef puffer_resolve_env(id):\n    "
        site.install("mine", body + "'mine:ID, as you like.'\n")
        site.install("silent", body + "pass\n")
        lines = [line.split("  ") for line in outcome(capsys, "envs")[1].splitlines()]
        rows = {parts[-1]: parts[0] for parts in lines}
        assert (rows["mine 1.0"], rows["silent 1.0"]) == ("mine:ID, as you like", "")

    def test_a_name_that_two_provide_is_listed_as_it_must_be_typed(
        self, site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PUFFER_PLUGINS", "here,there")
        site.install_trainer("here", "twin")
        site.install_trainer("there", "twin")
        names = [line.split()[0] for line in outcome(capsys, "trainers")[1].splitlines()]
        assert names == ["NAME", "twin@here", "twin@there"]
        assert "trainer twin (trainer twin is provided by there too: use twin@here)" in outcome(capsys, "plugins")[1]

    def test_plugins_are_listed_with_what_they_provide_or_why_not(
        self, site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PUFFER_PLUGINS", "bad")
        site.install("bad", "1 / 0")
        lines = {line.split()[0]: line for line in outcome(capsys, "plugins", "list")[1].splitlines()}
        assert "backend numpy; logger jsonl" in lines["puffer-core"]
        assert lines["bad"].split(maxsplit=3)[1:3] == ["1.0", "broken"]
        assert lines["bad"].endswith("ZeroDivisionError: division by zero (in bad, line 1)")

    def test_a_plugin_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        out = outcome(capsys, "plugins", "show", "Puffer_Core")[1]
        assert "puffer-core" in out.splitlines()[0]
        assert "hooks     puffer_backends, puffer_loggers, puffer_resolve_env" in out
        assert "  target        puffer_core.numpy_backend:NumpyBackend" in out
        assert "pluggy>=1.7" in out

    def test_a_plugin_is_shown_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        shown = json.loads(outcome(capsys, "plugins", "show", "puffer-core", "--json")[1])
        assert [item["kind"] for item in shown["components"]] == ["backend", "logger"]
        assert shown["status"] == "ok"

    def test_a_broken_plugin_is_shown_with_its_traceback(
        self, site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PUFFER_PLUGINS", "bad")
        site.install("bad", "1 / 0")
        out = outcome(capsys, "plugins", "show", "bad")[1]
        assert out.startswith("bad 1.0: broken\nZeroDivisionError")
        assert "Traceback (most recent call last)" in out


def test_a_warning_of_ours_is_one_line_and_others_say_where() -> None:
    shown = {}

    def command() -> int:
        for kind in (PufferWarning, UserWarning):
            shown[kind] = warnings.formatwarning("nothing is kept", kind, "there.py", 3)
        return 0

    usual = warnings.formatwarning
    assert as_process(command) == 0
    assert shown[PufferWarning] == "warning: nothing is kept\n"
    assert shown[UserWarning].startswith("there.py:3: UserWarning")
    assert warnings.formatwarning is usual


def test_the_parser_takes_no_abbreviations() -> None:
    parser = Parser(prog="x")
    parser.add_argument("--verbose", action="store_true")
    with pytest.raises(Exception, match="unknown option --verb"):
        parser.parse(["--verb"])
