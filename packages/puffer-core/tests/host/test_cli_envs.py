"""`puffer envs check`: found in puffer-testing, which need not be there."""

from __future__ import annotations

import sys

import pytest

from puffer_core.cli import envs
from puffer_core.cli.main import main


def test_without_puffer_testing_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(envs, "CHECKS", "puffer_testing_that_is_absent.checking:run_check")
    assert main(["envs", "check", "CartPole-v1"]) == 3
    error = capsys.readouterr().err
    assert error == "error: puffer envs check: puffer-testing is not installed\npip install puffer-testing\n"


def test_the_listing_does_not_import_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "puffer_testing", None)
    assert main(["envs"]) == 0
    assert capsys.readouterr().out.startswith("NAME")
