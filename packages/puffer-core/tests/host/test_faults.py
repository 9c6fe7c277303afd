"""Errors as one printable line."""

from __future__ import annotations

import pytest

from puffer_core.plugins.faults import describe, one_line, trace


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_the_place_is_the_innermost_frame_that_is_not_ours() -> None:
    with pytest.raises(KeyError) as caught:
        {}["missing"]
    assert describe(caught.value).startswith("KeyError: 'missing' (in ")
    assert describe(caught.value).endswith(f"line {caught.value.__traceback__.tb_lineno})")  # type: ignore[union-attr]


def test_a_syntax_error_says_its_place_itself() -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("x = (", "plugin.py", "exec")
    assert describe(caught.value) == "SyntaxError: '(' was never closed (plugin.py, line 1)"


def test_an_error_without_a_message_is_its_type() -> None:
    assert describe(SystemExit()) == "SystemExit"


def test_an_error_that_cannot_be_shown_is_still_named() -> None:
    assert describe(UnprintableError()) == "UnprintableError: (its message cannot be shown)"
    assert "Unprintable" in trace(UnprintableError())


def test_terminal_escapes_and_lone_surrogates_do_not_pass() -> None:
    assert one_line("a\x1b[2Jb\udc80c") == "a?[2Jb?c"


def test_a_long_message_is_cut() -> None:
    assert len(one_line("x" * 10_000)) == 400
