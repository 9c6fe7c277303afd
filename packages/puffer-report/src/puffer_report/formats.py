"""Numbers, times and values as people read them."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

MISSING = "-"


def number(value: float | None) -> str:
    """Four digits that matter, thousands apart.

    Example:
        >>> number(0.123456), number(499.96), number(1234567.8), number(float("nan"))
        ('0.1235', '500', '1,234,568', '-')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """A time in its two largest units.

    Example:
        >>> duration(2.34), duration(75), duration(7_300), duration(200_000)
        ('2.3 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    place = next(index for index, (_, length) in enumerate(units) if seconds >= length)
    (large, length), (small, below) = units[place : place + 2]
    rest = f" {int(seconds % length // below)} {small}" if seconds % length >= below else ""
    return f"{int(seconds // length)} {large}{rest}"


def moment(seconds: float) -> str:
    """A time since 1970, as the clock on the wall shows it."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def value_text(value: Any) -> str:
    """An option's value.

    Example:
        >>> value_text([64, 64]), value_text(0.0025), value_text(None), value_text("mlp"), value_text(True)
        ('[64, 64]', '0.0025', 'none', 'mlp', 'true')
    """
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
