"""Runs that differ in their seed alone, as one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from puffer_report.formats import value_text
from puffer_report.records import Record

OF_ONE_RUN = frozenset({"seed", "seeds", "run", "quiet", "resume", "parallel"})
"""Options that are about a run and not about how it learns."""
_IN_NAME = 3


@dataclass(frozen=True)
class Group:
    """Runs of one configuration, each with a seed of its own.

    Args:
        label: what the page calls it; no other group has it.
        runs: one or more, by seed.
        options: the configuration that they share, nested options as `policy.name`.
    """

    label: str
    runs: tuple[Record, ...]
    options: dict[str, Any]

    @property
    def seeds(self) -> str:
        """Which they are; a row of them as its first and last."""
        seeds = [run.config.get("seed") for run in self.runs]
        if len(seeds) > 2 and seeds == list(range(int(seeds[0] or 0), int(seeds[0] or 0) + len(seeds))):
            return f"{seeds[0]} to {seeds[-1]}"
        return ", ".join("?" if seed is None else str(seed) for seed in seeds)


def grouped(records: Sequence[Record]) -> list[Group]:
    """Groups in the order of their first runs. A run with a seed that its group has already begins another one."""
    gathered: list[list[Record]] = []
    keys: list[str] = []
    for record in records:
        key = json.dumps(flat_options(record.config), sort_keys=True)
        for known, members in zip(keys, gathered, strict=True):
            if known == key and record.config.get("seed") not in {run.config.get("seed") for run in members}:
                members.append(record)
                break
        else:
            keys.append(key)
            gathered.append([record])
    ordered = [sorted(members, key=_seed) for members in gathered]
    options = [flat_options(members[0].config) for members in ordered]
    labels = _labels(ordered, options)
    return [Group(*of_one) for of_one in zip(labels, map(tuple, ordered), options, strict=True)]


def flat_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a configuration by their dotted names, without those of one run alone.

    Example:
        >>> flat_options({"seed": 3, "clip": 0.2, "policy": {"name": "mlp", "hidden_sizes": [64, 64]}, "env": {}})
        {'clip': 0.2, 'policy.name': 'mlp', 'policy.hidden_sizes': [64, 64]}
    """
    return dict(_flat({name: value for name, value in config.items() if name not in OF_ONE_RUN}, ""))


def differences(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of options whose value is not the same everywhere, in order.

    Example:
        >>> differences([{"clip": 0.2, "gamma": 0.99}, {"clip": 0.1, "gamma": 0.99, "epochs": 4}])
        ['clip', 'epochs']
    """
    names = sorted(set().union(*options))
    return [name for name in names if any(one.get(name, ...) != options[0].get(name, ...) for one in options)]


def _flat(options: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in options.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found


def _seed(record: Record) -> tuple[int, str]:
    seed = record.config.get("seed")
    return (seed if isinstance(seed, int) else 0, record.path.name)


def _labels(groups: Sequence[Sequence[Record]], options: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [_name(members, groups) for members in groups]
    if len(set(names)) < len(names):
        telling = [name for name in differences(options) if name not in {"source", "trainer"}][:_IN_NAME]
        names = [
            ", ".join([name, *(f"{option} {value_text(one[option])}" for option in telling if option in one)])
            if names.count(name) > 1 else name
            for name, one in zip(names, options, strict=True)
        ]  # fmt: skip
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


def _name(members: Sequence[Record], groups: Sequence[Sequence[Record]]) -> str:
    """The directory's name; of several runs, that of the directory they have to themselves, or what they do."""
    first = members[0].path.resolve()
    if len(members) == 1:
        return f"{first.parent.name}/{first.name}" if first.name.startswith("seed-") else first.name
    parents = [{run.path.resolve().parent for run in group} for group in groups]
    if sum(first.parent in parent for parent in parents) == 1 and parents.count({first.parent}) == 1:
        return first.parent.name
    return f"{members[0].trainer} on {members[0].source}"
