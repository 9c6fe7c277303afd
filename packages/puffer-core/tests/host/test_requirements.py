"""The light PEP 440 comparison, against `packaging`, which pytest brings along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from puffer_core.plugins.requirements import normalise, unmet

SUFFIXES = ["", "a1", "b2", "rc1", ".dev0", ".dev3", ".post1", "rc1.dev2", ".post1.dev1"]
versions = st.builds(
    lambda parts, suffix: ".".join(map(str, parts)) + suffix,
    st.lists(st.integers(0, 2), min_size=1, max_size=3),
    st.sampled_from(SUFFIXES),
)
releases = st.lists(st.integers(0, 2), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
specifiers = st.one_of(
    st.builds(str.__add__, st.sampled_from(["==", "!=", "<=", ">="]), versions),
    st.builds(str.__add__, st.sampled_from(["<", ">"]), releases),  # bounds that nobody writes differ by tool
    st.builds(
        lambda operator, parts: f"{operator}{'.'.join(map(str, parts))}.*",
        st.sampled_from(["==", "!="]),
        st.lists(st.integers(0, 2), min_size=1, max_size=3),
    ),
    st.builds(
        lambda parts, suffix: f"~={'.'.join(map(str, parts))}{suffix}",
        st.lists(st.integers(0, 2), min_size=2, max_size=3),
        st.sampled_from(SUFFIXES),
    ),
)


@given(st.lists(specifiers, min_size=1, max_size=3), versions)
def test_agrees_with_packaging(parts: list[str], version: str) -> None:
    specifier = ",".join(parts)
    admitted = SpecifierSet(specifier).contains(Version(version), prereleases=True)
    assert (unmet([f"puffer-core{specifier}"], "puffer-core", version) == "") == admitted


@pytest.mark.parametrize(
    "requirement",
    ["puffer-core<0.2,>=0.1", "Puffer_Core (>=0.1,<0.2)", "puffer.core[extra] >= 0.1, < 0.2", "puffer-core~=0.1.0"],
)
def test_every_way_to_write_a_requirement_is_understood(requirement: str) -> None:
    assert unmet([requirement], "puffer-core", "0.1.5") == ""
    assert unmet([requirement], "puffer-core", "0.2") == requirement


@pytest.mark.parametrize(
    "requirement",
    [
        "puffer-core",
        "puffer-core>=9; extra == 'dev'",
        "puffer-core @ file:///somewhere",
        "puffer-core>=new",
        "puffer-core=>9",
        "puffer-core-extras>=9",
        "!!",
    ],
)
def test_what_is_not_understood_is_not_judged(requirement: str) -> None:
    assert unmet([requirement], "puffer-core", "0.1") == ""


def test_an_unknown_version_of_the_core_is_not_judged() -> None:
    assert unmet(["puffer-core>=9"], "puffer-core", "") == ""


def test_identity_is_compared_as_text() -> None:
    assert unmet(["puffer-core===0.1"], "puffer-core", "0.1") == ""
    assert unmet(["puffer-core===0.1"], "puffer-core", "0.1.0") != ""


def test_names_are_normalised_as_pep_503_says() -> None:
    assert normalise("Puffer__Core.X-y") == "puffer-core-x-y"
