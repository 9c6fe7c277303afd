"""Finds options by the names that people type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from puffer_core.config.kinds import is_switch
from puffer_core.config.schema import Key, Option, Section

NAMED = ("policy", "backend", "env")
"""Sections of a component, with its `name` among the options."""


class Index:
    """Finds options by their dotted names; dashes and underscores, upper and lower case are one."""

    def __init__(self, root: Section) -> None:
        options = [option for option in root.options() if option.key != ("trainer",)]  # it has a place of its own
        self.options = {_plain(".".join(option.key)): option for option in options}
        self.options |= {kind: self.options[f"{kind}.name"] for kind in NAMED if f"{kind}.name" in self.options}
        self.sections = [section for section in _sections(root) if section.open]
        self.keys = [option.key for option in options]

    def find(self, name: str) -> Option | None:
        """The option of this dotted name; one that is made up where an open section takes any."""
        if option := self.options.get(_plain(name)):
            return option
        for section in self.sections:
            prefix = f"{'.'.join(section.key)}."
            if _plain(name).startswith(_plain(prefix)) and len(name) > len(prefix):
                return Option((*section.key, name[len(prefix) :].replace("-", "_")), Any)
        return None

    def switch(self, name: str) -> Option | None:
        """The option that `no-name` or `section.no-name` turns off."""
        head, dot, last = _plain(name).rpartition(".")
        positive = [_plain(name)[3:]] if _plain(name).startswith("no_") else []
        positive += [head + dot + last[3:]] if last.startswith("no_") else []
        found = [self.options[one] for one in positive if one in self.options]
        return next((option for option in found if is_switch(option.annotation)), None)

    def nearest(self, name: str, others: Sequence[Key] = ()) -> list[Key]:
        """Keys that `name` may have meant: with the same last part, else of similar spelling; at most three."""
        import difflib  # costs 10 ms, and only an error needs it

        wanted = _plain(name)
        last = wanted.rpartition(".")[2]
        dotted = {_plain(".".join(key)): key for key in (*self.keys, *others)}
        ends = {text: text.rpartition(".")[2] for text in dotted}
        same = [dotted[text] for text, end in ends.items() if last in (end, _initials(end))]
        if same:
            return same[:3]
        if close := difflib.get_close_matches(wanted, dotted, n=2, cutoff=0.75):
            return [dotted[text] for text in close]
        parts = {text.rpartition(".")[2]: key for text, key in reversed(dotted.items())}
        return [parts[text] for text in difflib.get_close_matches(last, parts, n=2, cutoff=0.7)]


def _sections(section: Section) -> Iterator[Section]:
    yield section
    for member in section.members.values():
        if isinstance(member, Section):
            yield from _sections(member)


def _initials(name: str) -> str:
    """What people shorten a name of several words to: lr."""
    return "".join(word[0] for word in name.split("_") if word) if "_" in name else ""


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()
