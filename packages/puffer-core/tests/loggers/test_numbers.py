from __future__ import annotations

import gc
import json
import math
import weakref
from typing import Any

import numpy as np
import pytest

from puffer_core.loggers.numbers import plain_numbers


class Odd:
    def __float__(self) -> float:
        raise RuntimeError("odd")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1),
        (0.5, 0.5),
        (True, 1.0),
        (math.inf, math.inf),
        (None, math.nan),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([[2.0]]), 2.0),
        (np.array(1 + 0j).real, 1.0),
        (10**400, 10**400),
    ],
)
def test_what_is_one_number_is_taken(value: Any, number: float) -> None:
    refused: dict[str, str] = {}
    taken = plain_numbers({"a": value}, refused)["a"]
    assert taken == number or (value is None and math.isnan(taken))
    assert type(taken) in (int, float)
    assert refused == {}


@pytest.mark.parametrize("value", ["3", b"3", [1.0], np.zeros(2), np.zeros(0), 1 + 2j, Odd(), object, {}])
def test_what_is_none_is_left_out_and_named(value: Any) -> None:
    refused: dict[str, str] = {}
    assert plain_numbers({"a": value, "b": 1.0}, refused) == {"b": 1.0}
    assert refused == {"a": type(value).__name__}


def test_names_become_strings() -> None:
    taken = plain_numbers({1: 1.0, ("a", 2): 2.0, "\ud800": 3.0, "": 4.0, None: 5.0}, {})
    assert list(taken) == ["1", "('a', 2)", "\ud800", "", "None"]
    assert json.loads(json.dumps(taken)) == taken


def test_the_callers_mapping_is_copied() -> None:
    metrics = {"a": 1.0}
    taken = plain_numbers(metrics, {})
    metrics["a"] = 2.0
    assert taken == {"a": 1.0}


def test_no_graph_is_kept_alive() -> None:
    torch = pytest.importorskip("torch")
    weight = torch.ones(3, requires_grad=True)
    loss = (weight * 2).sum()
    graph = weakref.ref(loss)
    assert plain_numbers({"loss": loss, "half": torch.tensor(0.5, dtype=torch.bfloat16)}, {}) == {
        "loss": 6.0,
        "half": 0.5,
    }
    del loss
    gc.collect()
    assert graph() is None
