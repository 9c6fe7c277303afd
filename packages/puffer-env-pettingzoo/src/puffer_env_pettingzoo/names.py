"""Environments by name. Those of PettingZoo and MPE2 are found by their files: nothing of theirs is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from puffer_core import EnvSpec
from puffer_core.errors import EnvError, UsageError, did_you_mean

_VERSIONED = re.compile(r"([a-z]\w*/)?[a-z]\w*_v\d+", re.ASCII)
_MAKE = "puffer_env_pettingzoo.making:make"


def resolve(id: str) -> EnvSpec | None:
    """Describe a multi-agent environment, or give None for an id that is not one.

    Args:
        id: `pettingzoo:butterfly/pistonball_v6`, `mpe2:simple_spread_v3`, or the last part alone (`pistonball_v6`);
            `pettingzoo:MODULE:ATTRIBUTE` for a callable of yours that gives a parallel or AEC env;
            `agents:ID` for a Gymnasium env with one part of its Tuple spaces an agent, `ID` as Gymnasium takes it.

    Raises:
        UsageError: the family has no such environment, or one of a similar name exists; names the nearest.
        EnvError: the package is not installed; says how to install it.

    Example:
        >>> resolve("pistonball_v6").name
        'pettingzoo:butterfly/pistonball_v6'
        >>> resolve("cartpole") is None
        True
    """
    family, colon, name = id.partition(":")
    if not colon:
        return _bare(id)
    if family == "agents":
        return _tuple_env(name)
    if family == "pettingzoo" and (":" in name or "." in name):
        return _spec(id, "multi-agent environment of your own", name)
    if family not in ("pettingzoo", "mpe2"):
        return None
    if find_spec(family) is None:
        raise EnvError(f"{id}: the package {family} is not installed", remedy=f"Install it: pip install {family}")
    name = re.sub(r"-v(?=\d+$)", "_v", name)  # PettingZoo takes both
    found = known_ids(family)
    full = [known for known in found if name in _names(known)]
    if len(full) != 1:
        raise UsageError(f"{family} has no environment {name!r}", remedy=_nearest(name, map(_short, found)))
    return _found(full[0])


def known_ids(package: str) -> list[str]:
    """Ids of the environments that an installed package has, `pettingzoo` or `mpe2`; none if it is not installed.

    Example:
        >>> "pettingzoo:classic/tictactoe_v3" in known_ids("pettingzoo")
        True
    """
    spec = find_spec(package)
    if spec is None or not spec.origin:
        return []
    root = Path(spec.origin).parent
    files = [file.relative_to(root).with_suffix("").as_posix() for file in root.glob("**/*_v*.py")]
    return sorted(f"{package}:{name}" for name in files if _VERSIONED.fullmatch(name))


def _bare(name: str) -> EnvSpec | None:
    if not _VERSIONED.fullmatch(name):
        return None
    known = {short: id for package in ("pettingzoo", "mpe2") for id in known_ids(package) for short in _names(id)}
    if name in known:
        return _found(known[name])
    if get_close_matches(name, known, n=1, cutoff=0.8):
        raise UsageError(f"no installed package has the environment {name!r}", remedy=_nearest(name, known))
    return None


def _names(id: str) -> set[str]:
    """What an environment may be called without its family: `butterfly/pistonball_v6` and `pistonball_v6`."""
    own = _short(id)
    return {own, own.rpartition("/")[2]}


def _short(id: str) -> str:
    return id.partition(":")[2]


def _nearest(name: str, known: Iterable[str]) -> str:
    """Other versions of the same environment, if there are any, before similar names."""
    names = list(known)
    base = name.rpartition("_v")[0].rpartition("/")[2] or name
    return did_you_mean(name, [own for own in names if own.rpartition("_v")[0].rpartition("/")[2] == base] or names)


def _found(id: str) -> EnvSpec:
    package, _, name = id.partition(":")
    if package == "pettingzoo":
        return _spec(id, f"PettingZoo's {name}", name)
    return _spec(id, f"{package}'s {name}", f"{package}.{name}")


def _spec(id: str, summary: str, source: str) -> EnvSpec:
    return EnvSpec(
        name=id,
        summary=summary,
        target=_MAKE,
        interface="vector",
        capabilities=frozenset({"multi-agent"}),
        arguments=(("env_id", source),),
    )


def _tuple_env(name: str) -> EnvSpec:
    from puffer_core.vector.gymnasium import resolve as resolve_gymnasium  # imports Gymnasium: 100 ms

    known = resolve_gymnasium(f"gymnasium:{name}")
    assert known is not None  # an explicit family resolves or raises
    return EnvSpec(
        name=f"agents:{name}",
        summary=f"{known.summary}, one row an agent",
        target="puffer_env_pettingzoo.making:make_tuple",
        interface="vector",
        capabilities=frozenset({"multi-agent"}),
        arguments=(("gymnasium_id", name),),
    )
