"""Texts become values, types become words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from puffer_core.config.texts import adapt, parse, parse_free, to_json
from puffer_core.config.words import describe, metavar, show, show_plain


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "100_000", 100_000),
        (int, "1e6", 1_000_000),
        (float, "-1e-3", -1e-3),
        (float, "inf", math.inf),
        (bool, "Yes", True),
        (bool, "0", False),
        (str, "1", "1"),
        (Path, "a b", "a b"),
        (float | None, "None", None),
        (str | None, "none", None),
        (int | str, "3", 3),
        (int | str, "three", "three"),
        (Literal["auto"] | int, "2", 2),
        (Literal[1, 2], "2", 2),
        (tuple[int, ...], "64 64", [64, 64]),
        (tuple[int, ...], "[64, 64]", [64, 64]),
        (tuple[int, ...], ["64,32"], [64, 32]),
        (list[str], ["a b", "c"], ["a b", "c"]),
        (Sequence[float], "", []),
        (dict[str, int], "{a = 1}", {"a": 1}),
        (Any, "1.5", 1.5),
    ],
)
def test_a_text_is_read_as_its_type_says(annotation: Any, text: Any, value: Any) -> None:
    assert parse(annotation, text) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "1.5"),
        (int, "x"),
        (float, "x"),
        (bool, "maybe"),
        (Literal["a", "b"], "c"),
        (int | None, "x"),
        (tuple[int, ...], "1 x"),
        (int, ["1", "2"]),
        (type(None), "x"),
    ],
)
def test_a_text_of_another_type_is_refused(annotation: Any, text: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its text is the refused one
        parse(annotation, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1\nother = 2", "1\nother = 2"), ("2020-01-01", "2020-01-01"), ("none", None), ("'quoted'", "quoted"), ("", "")],
)
def test_free_text_is_toml_or_itself(text: str, value: Any) -> None:
    assert parse_free(text) == value


@given(st.text())
def test_any_text_means_something_where_all_is_allowed(text: str) -> None:
    assert isinstance(parse_free(text), bool | int | float | str | list | dict | None)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[float, Field(gt=0, le=1)], "a number > 0 and <= 1"),
        (Annotated[float | None, Field(gt=0)], "a number > 0 or none"),
        (Annotated[int, Field(lt=2**63, multiple_of=4)], "an integer < 2**63 and a multiple of 4"),
        (
            Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)],
            "a list of integers >= 1, at least 1 long",
        ),
        (Annotated[str, Field(pattern="^a", max_length=3)], "text, at most 3 long and matching ^a"),
        (Annotated[str, Field(pattern="^a", max_length=3), "a word with a"], "a word with a, at most 3 long"),
        (Annotated[int, "unit: steps"], "an integer"),
        (Literal["auto"] | int, "auto or an integer"),
        (Literal["a", "b"], "one of a, b"),
        (bool, "true or false"),
        (list, "a list"),
        (tuple[int, str], "a list"),
        (tuple[int, int], "a list of 2 integers"),
        (dict[str, int], "a table"),
        (complex, "a value"),
    ],
)
def test_a_type_is_put_in_words(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("annotation", "word"),
    [(float, "FLOAT"), (tuple[int, ...], "INT"), (list, "VALUE"), (Literal["a", "b"], "{a,b}"), (complex, "VALUE")],
)
def test_a_placeholder_says_the_type(annotation: Any, word: str) -> None:
    assert metavar(annotation) == word


def test_values_in_messages_are_short_and_quoted() -> None:
    assert show("x") == "'x'"
    assert show({"a": [1, None]}) == "{a = [1, none]}"
    assert show(10**5000) == "an integer of 16610 bits"
    assert len(show("x" * 1000)) < 100
    assert show_plain(Path("a")) == "a"


@given(st.floats() | st.booleans() | st.text() | st.none())
def test_json_keeps_what_is_finite_and_spells_what_is_not(value: Any) -> None:
    kept = to_json({"a": [value]})["a"][0]
    assert repr(adapt(float, kept) if isinstance(value, float) else kept) == repr(value)
    json.dumps(kept, allow_nan=False)


def test_data_is_adapted_to_its_type_but_never_guessed() -> None:
    assert adapt(int, 1e6) == 1_000_000
    assert isinstance(adapt(int | float, 1e6), float)
    assert adapt(tuple[int, ...], [2.0, "x"]) == [2, "x"]
    assert adapt(int, "3") == "3"
    assert adapt(float | str, "inf") == "inf"
