from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffer_logger_wandb.names import LONGEST_ID, artifact_key, metric_key, run_id


@given(st.text())
def test_an_id_is_one_that_wandb_takes_and_always_the_same(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id(name))
    assert run_id(name) == run_id(name)


@given(st.text(), st.text())
def test_different_names_have_different_ids(one: str, other: str) -> None:
    assert (run_id(one) == run_id(other)) == (one == other)


def test_a_name_that_is_too_long_is_cut_and_told_apart() -> None:
    assert run_id("a" * 65) != run_id("a" * 66)
    assert len(run_id("a" * 65)) == LONGEST_ID


@pytest.mark.parametrize(("name", "key"), [("loss/value", "loss/value"), ("_step", "metric/_step"), (3, "3")])
def test_metrics_never_take_wandbs_own_names(name: object, key: str) -> None:
    assert metric_key(name) == key


@pytest.mark.parametrize(
    ("name", "key"), [("a/b", "a/b"), ("/etc", "etc"), ("a/../b", "a/b"), ("..", "artifact"), ("", "artifact")]
)
def test_artifacts_stay_in_their_directory(name: str, key: str) -> None:
    assert artifact_key(name) == key
