"""Every task of this repository: `python3 dev.py nox -s NAME`; `python3 dev.py nox -l` lists them.

Sessions that look at the checkout as a whole share one environment, `.nox/checkout`, so that PyTorch is unpacked once.
Sessions that show what one distribution needs (`tests-...`, `core_only`, `wheels`) each make their own.
All install with pip, in the versions of constraints.txt.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
PACKAGES = sorted(file.parent for file in ROOT.glob("packages/*/pyproject.toml"))
CONSTRAIN = ("--constraint", str(ROOT / "constraints.txt"))
BUILD = ("hatchling", "editables")
PYTEST = ("pytest", "pytest-cov", "pytest-randomly", "pytest-xdist", "psutil", "sybil")
TEST = (*PYTEST, "hypothesis", "beartype", "array-api-strict", "scipy", "optax", "onnxruntime", "onnxscript")
ENVS = ("mpe2", "pymunk", "lbforaging", "rware", "minigrid", "Box2D", "imageio", "imageio-ffmpeg", "flax", "seaborn")
"""Other people's environments that tests play in, what makes videos of them, and what gymnax imports."""
ALONE = ("--no-deps", "gymnax")
"""gymnax 1.0 declares a Gymnasium older than ours, of which it uses the spaces alone; what else it needs is in ENVS."""
CHECK = ("ruff", "mypy", "import-linter", "nox", "build")
MINIMUM_COVERAGE = 90
SHORT = ("-m", "not (learning or faults) or smoke")
PARALLEL = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
"""A process of tests a core, a file in one process, since its tests share what they prepare; in conftest.py's order.

`learning` and `faults` stay in one: theirs is one table, and the times in it are of an injection that had the machine.
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""For tests: their arrays are too small for two threads, and sums then don't depend on the machine's cores."""

nox.options.sessions = ["lint", "types", "imports", "tests"]
nox.options.default_venv_backend = "virtualenv"  # brings its own pip; venv needs ensurepip, which Debian leaves out
nox.options.error_on_external_run = True
os.environ.setdefault("VIRTUALENV_NO_PERIODIC_UPDATE", "1")


# --- over the whole checkout ----------------------------------------------------------------------------


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Ruff: rules and formatting."""
    checkout(session, "ruff", "check", ".")
    checkout(session, "ruff", "format", "--check", ".")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Mypy, strict, over the packages and the repository's own scripts."""
    checkout(session, "mypy", *(str(package / "src") for package in PACKAGES), "dev.py", "noxfile.py", "conftest.py")


@nox.session(python=False)
def imports(session: nox.Session) -> None:
    """Import-linter: imports between packages run one way."""
    checkout(session, "lint-imports", "--no-cache")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Everything that fits 15 minutes on two cores, with each package's coverage.

    Arguments go to pytest, which then runs in one process and measures no coverage.
    """
    whole = () if session.posargs else (*PARALLEL, "--cov", f"--package-coverage={MINIMUM_COVERAGE}")
    # Where bytecode is not kept (PYTHONDONTWRITEBYTECODE), each process that a test starts would compile our sources.
    checkout(session, "python", "-m", "compileall", "-q", *(str(package / "src") for package in PACKAGES))
    checkout(session, "pytest", *SHORT, *whole, *session.posargs, env=ONE_THREAD)


@nox.session(python=False)
def learning(session: nox.Session) -> None:
    """Every test that trains to a stated return; their figures go to docs/learning.json and the page beside it."""
    table = {"LEARNING_TABLE": str(ROOT / "docs" / "learning.json")}
    checkout(session, "pytest", "-m", "learning", *session.posargs, env=ONE_THREAD | table)
    checkout(session, "python", "docs/tables.py")


@nox.session(python=False)
def faults(session: nox.Session) -> None:
    """Every fault the full number of times; what came of it goes to docs/reliability.json and the page beside it."""
    table = {"RELIABILITY_TABLE": str(ROOT / "docs" / "reliability.json")}
    tests = "packages/puffer-core/tests/faults"  # those of `nox -s tests` too: some need no longer round
    killed = "packages/puffer-env-gymnax/tests/test_training.py"  # no row of the table, but as long
    checkout(session, "pytest", tests, killed, *session.posargs, env=ONE_THREAD | table)
    checkout(session, "python", "docs/tables.py")


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Examples of README, docs and docstrings, and every command line that they show."""
    sources = [str(package / "src") for package in PACKAGES]
    checkout(session, "pytest", "README.md", "docs", "tests/test_docs.py", *sources, *session.posargs, env=ONE_THREAD)


@nox.session(python=False)
def pictures(session: nox.Session) -> None:
    """Pictures that the documentation shows, taken of the real thing in Chromium by the tests that look at it."""
    images = {"PICTURES": str(ROOT / "docs" / "images")}
    checkout(session, "pytest", "-k", "browser", "packages", *session.posargs, env=ONE_THREAD | images)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Throughput of training and of stepping, and time to solve, beside the peers; `-- --quick` for a short round."""
    for script in ("ppo_throughput.py", "jax_throughput.py", "solve_cartpole.py", "vector.py", "modes.py"):
        checkout(session, "python", str(Path("benchmarks") / script), *session.posargs)


# --- over one distribution ------------------------------------------------------------------------------


def tests_of(package: str) -> None:
    @nox.session(name=f"tests-{package}")
    def tests_package(session: nox.Session) -> None:
        """One package's tests, with nothing of ours installed but what it declares and puffer-testing."""
        wanted = {package, "puffer-testing"}
        wanted |= set().union(*(requirements_of_ours(name) for name in wanted))
        session.install(*CONSTRAIN, *BUILD, *TEST, *ENVS)
        session.install(*CONSTRAIN, *ALONE)
        session.install(*CONSTRAIN, "--no-build-isolation", *editable(wanted))
        session.run("pytest", *SHORT, f"packages/{package}/tests", *session.posargs, env=ONE_THREAD)


for path in PACKAGES:
    tests_of(path.name)


@nox.session
def core_only(session: nox.Session) -> None:
    """puffer-core alone: its command line works, and no engine came with it."""
    session.install(*CONSTRAIN, str(ROOT / "packages" / "puffer-core"))
    session.chdir(session.create_tmp())
    for command in (["--help"], ["--version"], ["plugins", "list"], ["envs", "--json"], ["trainers"]):
        session.run("puffer", *command)
    session.run("python", "-c", "import importlib.util as u; assert not (u.find_spec('torch') or u.find_spec('numba'))")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every distribution, install three by name from the files into an empty environment; train, and export."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in PACKAGES:
        checkout(session, "python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(package))
    # Constraints name the files, so that an index's distribution of the same name can't take their place.
    ours = dist / "ours.txt"
    built = {file.name.split("-")[0].replace("_", "-"): file for file in dist.glob("*.whl")}
    ours.write_text("".join(f"{name} @ {file.as_uri()}\n" for name, file in built.items()), encoding="utf-8")
    session.install(*CONSTRAIN, "--constraint", str(ours), "puffer-core", "puffer-ppo", "puffer-backend-onnx")
    session.chdir(session.create_tmp())
    session.run("puffer", "plugins", "list")
    session.run("puffer", "train", "ppo", "cartpole", "--total-steps", "20000", "--run", "trained")
    session.run("puffer", "export", "trained", "--output", "policy.onnx")
    session.run("puffer", "eval", "policy.onnx", "--env", "cartpole")


# --- environments ---------------------------------------------------------------------------------------


def checkout(session: nox.Session, program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run a program of the shared environment, made or brought up to date first."""
    venv = ROOT / ".nox" / "checkout"
    stamp = venv / ".ready"
    current = fingerprint()
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != current:
        session.log("preparing .nox/checkout")
        session.run(sys.executable, "-m", "virtualenv", "--clear", str(venv), external=True, silent=True)
        pip = (executable(venv, "python"), "-m", "pip", "install", "-q", *CONSTRAIN)
        session.run(*pip, *BUILD, *TEST, *ENVS, *CHECK, external=True)
        session.run(*pip, *ALONE, external=True)
        session.run(*pip, "--no-build-isolation", *editable(path.name for path in PACKAGES), external=True)
        stamp.write_text(current, encoding="utf-8")
    path = os.pathsep.join([str(Path(executable(venv, "python")).parent), os.environ.get("PATH", "")])
    variables = {"VIRTUAL_ENV": str(venv), "PATH": path, **(env or {})}
    session.run(executable(venv, program), *arguments, env=variables, external=True)


def executable(venv: Path, program: str) -> str:
    return str(venv / "Scripts" / f"{program}.exe" if os.name == "nt" else venv / "bin" / program)


def fingerprint() -> str:
    """A hash of everything that decides what the shared environment holds."""
    files = [ROOT / "constraints.txt", *(path / "pyproject.toml" for path in PACKAGES)]
    parts = [
        sys.version,
        repr((BUILD, TEST, ENVS, ALONE, CHECK)),
        *(f"{file}\n{file.read_text(encoding='utf-8')}" for file in files),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def requirements_of_ours(name: str) -> set[str]:
    """Distributions of this checkout that `name` declares, directly or through another."""
    declared = tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = {path.name for path in PACKAGES}
    direct = {requirement.split(">")[0].strip() for requirement in declared["dependencies"]} & ours
    return direct.union(*(requirements_of_ours(other) for other in direct))


def editable(names: Iterable[str]) -> list[str]:
    return [f"--editable={ROOT / 'packages' / name}" for name in sorted(names)]
