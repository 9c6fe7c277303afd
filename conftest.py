"""For every test of the repository: array shapes are checked, and coverage is judged a package at a time."""

from __future__ import annotations

import functools
import io
import os
import sys
import typing
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import coverage
import jaxtyping
import numpy as np
import psutil
import pytest
from beartype import BeartypeConf, FrozenDict, beartype

T = TypeVar("T", bound=Callable[..., Any])
ROOT = Path(__file__).parent
SOURCES = sorted(ROOT.glob("packages/*/src"))
MEMORY_BYTES = 2 * 2**30
"""What a process of tests may need, with the workers and training runs that it starts."""


UNCHECKED = {"puffer_core.vector.random_actions"}
"""Called for each row of each step that a suite plays: checks of it took longer than the envs, and its tests look."""


def numeric_modules() -> Iterator[str]:
    """Modules that annotate arrays; the others, start-up and the command line, stay as users have them."""
    for source in SOURCES:
        for file in source.rglob("*.py"):
            if "from jaxtyping import" in file.read_text(encoding="utf-8"):
                module = ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
                if module not in UNCHECKED:
                    yield module


# What a protocol asks for is found once a class, as by Python 3.12; 3.11 looks for it in every `isinstance`, which was
# two fifths of the time of tests whose arrays and `ops` are checked at each call.
if sys.version_info < (3, 12):
    for slow in ("_get_protocol_attrs", "_is_callable_members_only"):
        setattr(typing, slow, functools.cache(getattr(typing, slow)))

# beartype has no meaning for `ndarray[Any, Any]`, which says no more than `ndarray`.
SHAPES = BeartypeConf(hint_overrides=FrozenDict({np.ndarray[Any, Any]: np.ndarray}))


def check_shapes(annotated: T) -> T:
    """The checker that numeric modules are imported through."""
    return beartype(conf=SHAPES)(annotated)


# pytest forgets the module `conftest` when it loads another conftest.py, and the hook looks its checker up by name.
sys.modules["puffer_shape_checks"] = sys.modules[__name__]
jaxtyping.install_import_hook(list(numeric_modules()), "puffer_shape_checks.check_shapes")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--package-coverage", type=float, default=0.0, help="fail if a package's line coverage is below")


def pytest_configure(config: pytest.Config) -> None:
    """What is compiled is kept in pytest's own cache, for every process of tests and the next session; not the user's.

    Workers of pytest-xdist, and processes that tests start, find it in the environment.
    """
    cache: pytest.Cache | None = getattr(config, "cache", None)  # missing under `-p no:cacheprovider`
    if cache is not None and not hasattr(config, "workerinput"):
        os.environ["XDG_CACHE_HOME"] = str(cache.mkdir("compiled"))


LONG = ("learning", "faults", "slow")
"""Markers of tests whose files are begun first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Coverage is of a package's own tests, without its conformance suite and its training: tracing doubles those.

    Where several processes share the files, long ones come first, so that none is left with one at the end.
    """
    for item in items:
        own = item.path.is_relative_to(ROOT / "packages") and item.path.name != "test_conformance.py"
        if not own or item.get_closest_marker("learning"):
            item.add_marker(pytest.mark.no_cover)
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if any(item.get_closest_marker(name) for name in LONG)}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture
def compiled_fast() -> Iterator[None]:
    """Small programs that run a few times: XLA need not try hard. Nothing happens where JAX is not installed."""
    if not find_spec("jax"):
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]  # noqa: FBT003
    yield
    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]  # noqa: FBT003


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: a process for each core that we may use, where each has its gigabytes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available) // MEMORY_BYTES))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Measure each package alone: a well-tested one can't hide another.

    Where several processes run the tests, the one that started them judges; pytest-cov has put together what they
    measured by then, since it does so when the last of them is done.
    """
    minimum = session.config.getoption("--package-coverage")
    if not minimum or hasattr(session.config, "workerinput"):
        return
    measured = coverage.Coverage()
    measured.load()
    lines = []
    for source in SOURCES:
        report = io.StringIO()
        percent = measured.report(include=[f"{source}/*"], show_missing=True, skip_covered=True, file=report)
        lines.append((source.parent.name, percent, report.getvalue()))
    session.config.stash[COVERAGE] = lines
    if min(percent for _, percent, _ in lines) < minimum and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


COVERAGE = pytest.StashKey[list[tuple[str, float, str]]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a package; what is missing, where it is below the minimum."""
    minimum = config.getoption("--package-coverage")
    for name, percent, report in config.stash.get(COVERAGE, []):
        terminalreporter.write_line(f"coverage {name:<24} {percent:6.1f} %  (at least {minimum:.0f} %)")
        if percent < minimum:
            terminalreporter.write_line(report)
