"""Run a tool of this checkout on a machine that has only Python 3.11 and pip: `python3 dev.py TOOL [ARGUMENTS]`.

TOOL is `puffer` or `python`, with every package under packages/ installed editable, or `nox`. The first run makes
`.venv` beside this file, with versions from constraints.txt; later ones start at once, until those files change.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036, for whoever starts it with an older one
    sys.exit(f"dev.py needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN, SUFFIX = (VENV / "Scripts", ".exe") if os.name == "nt" else (VENV / "bin", "")
PYTHON = BIN / f"python{SUFFIX}"
TOOLS = {"puffer": "packages", "python": "packages", "nox": "nox"}


def main(arguments: list[str]) -> int:
    """Prepare what the tool needs, then become the tool."""
    if not arguments or arguments[0] not in TOOLS:
        print(__doc__, file=sys.stderr)
        return 2
    prepare(TOOLS[arguments[0]])
    command = [str(BIN / f"{arguments[0]}{SUFFIX}"), *arguments[1:]]
    # On Windows exec returns to the shell before the tool has ended.
    return subprocess.call(command) if os.name == "nt" else os.execv(command[0], command)


def prepare(what: str) -> None:
    """Install it, unless the last time was with the same files."""
    interpreter, made_with = f"{sys.version} {sys.base_prefix} {VENV}", VENV / ".made-with"
    if not PYTHON.exists() or read(made_with) not in ("", interpreter):
        step(f"making {VENV.name}, once", make_venv)
    ready, current = VENV / f".ready-{what}", fingerprint([ROOT / "constraints.txt", *projects()])
    if read(ready) == current:
        return
    step(f"installing {what}; the first time takes a minute or more", lambda: install(what))
    made_with.write_text(interpreter, encoding="utf-8")
    ready.write_text(current, encoding="utf-8")


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def projects() -> list[Path]:
    return sorted(ROOT.glob("packages/*/pyproject.toml"))


def fingerprint(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(bytes(file) + file.read_bytes() for file in files)).hexdigest()


def make_venv() -> None:
    """Where a distribution's Python lacks ensurepip, `install` uses this Python's own pip."""
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        subprocess.run([*command, "--without-pip"], check=True)


def install(what: str) -> None:
    pip = [str(PYTHON), "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    pip += ["--disable-pip-version-check", "install", "--constraint", str(ROOT / "constraints.txt")]
    if what == "nox":
        return follow([*pip, "nox"])
    follow([*pip, "hatchling", "editables"])  # once, not in a build environment for each package
    return follow([*pip, "--no-build-isolation", *(f"--editable={file.parent}" for file in projects())])


def follow(command: list[str]) -> None:
    """Run pip: a terminal shows its latest line, a failure all of them."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            if sys.stderr.isatty():
                print(f"  {line.strip()[:76]:<76}", end="\r", file=sys.stderr, flush=True)
    if process.returncode:
        sys.exit(f"{''.join(lines)}dev.py: pip failed, its words are above: {' '.join(command)}")


def step(what: str, action: Callable[[], None]) -> None:
    print(f"dev.py: {what} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    action()
    print(f"dev.py: done in {time.monotonic() - start:.0f} s".ljust(78), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
