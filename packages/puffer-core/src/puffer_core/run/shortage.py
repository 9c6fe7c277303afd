"""Memory that ran out, in words: how much was wanted, how much there was."""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from pathlib import Path

from puffer_core.cli.output import size_text
from puffer_core.errors import ResourceError

_UNITS = {"": 1} | {f"{unit}i": 2 ** (10 * (power + 1)) for power, unit in enumerate("kmgtpe")}
_WANTED = re.compile(
    r"(?:allocate|requested|tried to allocate:?) ?([\d.]+) ?((?:[KMGTPE]i)?)B?(?:ytes)?\b", re.IGNORECASE
)
"""As NumPy ("Unable to allocate 7.45 GiB") and torch ("you tried to allocate 8000000000 bytes") say it."""
_WORDS = ("can't allocate memory", "cannot allocate memory", "out of memory")


def shortage(error: BaseException | None) -> ResourceError | None:
    """The error to tell people where memory ran out; None where it did not.

    Args:
        error: as Python, NumPy, an engine or the system raised it.

    Example:
        >>> str(shortage(MemoryError("Unable to allocate 8.00 GiB for an array"))).split(";")[0]
        'memory ran out: 8.6 GB were wanted'
        >>> shortage(ValueError("allocate")) is None
        True
    """
    if not _is_shortage(error):
        return None
    wanted = _wanted(str(error))
    asked = f"{size_text(wanted)} were wanted; " if wanted else ""  # Python's own MemoryError does not say
    return ResourceError(
        f"memory ran out: {asked}{_available()}",
        remedy="What was saved before is whole. Use fewer environments (--vector.num-envs), a shorter rollout or a "
        "smaller policy, or a machine with more memory.",
    )


def _is_shortage(error: BaseException | None) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def _wanted(text: str) -> int:
    """Bytes, as the message says; 0 where it does not."""
    found = _WANTED.search(text)
    return int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0


def _available() -> str:
    """What this machine, and where there is one this process's limit, have left."""
    said = []
    with suppress(OSError, ValueError, KeyError):
        said.append(f"the machine has {size_text(_machine())} left")
    with suppress(ImportError, OSError, ValueError):
        used, limit = _of_limit()
        if limit >= 0:
            said.append(f"{size_text(used)} of this process's limit of {size_text(limit)} are used")
    return ", ".join(said) or "how much there is could not be found out"


def _machine() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)["MemAvailable"].split()[0]) * 1024


def _of_limit() -> tuple[int, int]:
    """Address space in use, and its limit; -1 where there is none."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize(), -1 if soft == resource.RLIM_INFINITY else soft
