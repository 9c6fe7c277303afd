"""A state of another form is refused, and the message says where it differs."""

from __future__ import annotations

import numpy as np
import pytest

from puffer_core.checkpoints.form import check_form
from puffer_core.errors import CheckpointError

EXPECTED = {"net": {"w": np.zeros((2, 3), np.float32)}, "count": 0, "window": np.zeros(4)}


def changed(**changes):
    return {name: value for name, value in {**EXPECTED, **changes}.items() if value is not ...}


def test_the_same_form_passes():
    check_form(changed(net={"w": np.ones((2, 3), np.float32)}, count=7), EXPECTED)


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (changed(count=...), "count: the checkpoint has none, this run has int"),
        (changed(more=1), "more: the checkpoint has int, this run has none"),
        (changed(net={}), r"net/w: the checkpoint has none, this run has float32 \(2, 3\)"),
        (changed(net=3), "net: the checkpoint has int, this run has dict"),
        (changed(net={"w": np.zeros((3, 2), np.float32)}), r"net/w: the checkpoint has float32 \(3, 2\)"),
        (changed(net={"w": np.zeros((2, 3))}), r"net/w: the checkpoint has float64 \(2, 3\)"),
        (changed(count="0"), "count: the checkpoint has str, this run has int"),
    ],
)
def test_another_form_is_refused(got, message):
    with pytest.raises(CheckpointError, match=message):
        check_form(got, EXPECTED)


def test_what_is_free_may_differ():
    check_form(changed(window=np.zeros(9)), EXPECTED, free=("window",))
    with pytest.raises(CheckpointError, match="window"):
        check_form(changed(window=...), EXPECTED, free=("window",))
