"""Infos as JSON values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from puffer_core.vector.plain import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.zeros(2, np.longdouble), [0.0, 0.0]),
        (np.array("text"), "text"),
        (np.complex64(1), "np.complex64(1+0j)"),
        (np.datetime64("2020"), "np.datetime64('2020')"),
        ({(1, 2): {3}}, {"(1, 2)": "{3}"}),
        (b"bytes", "b'bytes'"),
    ],
)
def test_everything_has_a_json_form(value: Any, expected: Any) -> None:
    assert json.loads(json.dumps(plain(value))) == expected


def test_what_holds_itself_ends_somewhere() -> None:
    value: list[Any] = []
    value.append(value)
    assert "[[...]]" in json.dumps(plain(value))
