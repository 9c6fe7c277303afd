"""How the runs of several seeds lie in a directory."""

from __future__ import annotations

from pathlib import Path

from puffer_core.run.overview import is_run

OPTIONS = "options.json"
"""In the directory of several seeds: what each of them is trained with, as `--config` reads it."""


def seed_directory(directory: Path, seed: int) -> Path:
    """Where the run of a seed lies.

    Example:
        >>> seed_directory(Path("runs/mine"), 3).as_posix()
        'runs/mine/seed-3'
    """
    return directory / f"seed-{seed}"


def holds_seeds(directory: Path) -> bool:
    """Whether a directory is one that `puffer train --seeds` made.

    Example:
        >>> holds_seeds(Path("no such directory"))
        False
    """
    return (directory / OPTIONS).is_file() and not is_run(directory)


def seeds_in(directory: Path) -> list[int]:
    """The seeds whose runs lie in a directory, ascending; empty for a directory that does not hold several seeds.

    Example:
        >>> seeds_in(Path("no such directory"))
        []
    """
    names = [path.name.removeprefix("seed-") for path in directory.glob("seed-*") if is_run(path)]
    return sorted(int(name) for name in names if name.isdecimal())
