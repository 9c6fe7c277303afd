"""Saying in one printable line what went wrong in somebody else's code."""

from __future__ import annotations

from types import TracebackType

from puffer_core.quoting import error_text

_OURS = (
    "importlib",
    "importlib_metadata",
    "pluggy",
    "puffer_core.plugins",
    "puffer_core.specs",
    "puffer_core.cli.main",
)
_LONGEST = 400


def describe(error: BaseException) -> str:
    r"""Type, message and place of an error, as one line.

    Example:
        >>> describe(ValueError("two\nlines"))
        'ValueError: two lines'
    """
    return one_line(error_text(error)) + _place(error)


def one_line(text: str) -> str:
    r"""`text` without line breaks, control characters and excess length: safe to print to a terminal.

    Example:
        >>> one_line("red \x1b[31m\nalert")
        'red ?[31m alert'
    """
    line = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def trace(error: BaseException) -> str:
    """The whole traceback as text."""
    import traceback

    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - likewise
        return f"{describe(error)}\n"


def _place(error: BaseException) -> str:
    """Where it was raised, ` (in module, line N)`; a SyntaxError says so itself, our own frames say nothing."""
    if isinstance(error, SyntaxError):
        return ""
    place = ""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        if not any(module == ours or module.startswith(f"{ours}.") for ours in _OURS):
            place = f" (in {one_line(module)}, line {step.tb_lineno})"
        step = step.tb_next
    return place
