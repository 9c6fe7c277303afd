"""Values and errors of other people's code as text, whatever their `__repr__` and `__str__` do."""

from __future__ import annotations

from typing import Any


def value_text(value: Any, longest: int = 1000) -> str:
    """The `repr` of anything, cut to `longest` characters, also where `repr` raises.

    Example:
        >>> value_text([1] * 1000, longest=10)
        '[1, 1, ...'
    """
    try:
        written = repr(value)
    except Exception as error:  # noqa: BLE001  what is said about a value must not depend on its manners
        written = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return written if len(written) <= longest else f"{written[: longest - 3]}..."


def error_text(error: BaseException) -> str:
    """Type and message of an error, also where its `__str__` raises; the type alone where it has no message.

    Example:
        >>> error_text(ValueError("too long")), error_text(KeyboardInterrupt())
        ('ValueError: too long', 'KeyboardInterrupt')
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  likewise
        message = "(its message cannot be shown)"
    kind = type(error).__name__
    return f"{kind}: {message}" if message else kind
