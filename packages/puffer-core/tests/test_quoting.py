"""Values and errors that do not want to be shown."""

from __future__ import annotations

from puffer_core.quoting import error_text, value_text


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    def __repr__(self) -> str:
        raise ValueError


def test_an_error_whose_message_raises_is_named_all_the_same() -> None:
    assert error_text(HostileError()) == "HostileError: (its message cannot be shown)"


def test_a_value_whose_repr_raises_is_named_all_the_same() -> None:
    assert value_text(HostileError()) == "<HostileError, whose repr raises ValueError>"
