"""CPU time of the light commands as a multiple of `python -c pass`: medians of interleaved runs.

    python benchmarks/startup.py [--rounds 15]

The goals, with all packages installed: at most 12 for each, and at most 300 ms with 100 more plugins. User and system
time of the whole process are counted, so the figure hardly depends on what else the machine does. The first round is
left out: it writes the bytecode that an installed package has. The figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import puffer_core": ["-c", "import puffer_core"],
    "puffer --version": ["-m", "puffer_core", "--version"],
    "puffer --help": ["-m", "puffer_core", "--help"],
    "puffer plugins list": ["-m", "puffer_core", "plugins", "list"],
    "puffer envs": ["-m", "puffer_core", "envs"],
}
MANY = "... with 100 more plugins"
PLUGIN = """from puffer_core import TrainerSpec, hookimpl

@hookimpl
def puffer_trainers():
    return [TrainerSpec(name="trainer-{number}", summary="", target="a:B")]
"""


def install_plugins(directory: Path, count: int) -> None:
    """Lay out plugins as pip would install them."""
    for number in range(count):
        info = directory / f"extra_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: extra-{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[puffer.plugins]\nextra = extra_{number}\n")
        (directory / f"extra_{number}.py").write_text(PLUGIN.format(number=number))


def cpu_seconds(arguments: list[str], environ: dict[str, str]) -> float:
    """User and system time of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, env=environ, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command")
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in (*COMMANDS, MANY)}
    with tempfile.TemporaryDirectory() as site:
        install_plugins(Path(site), 100)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PUFFER"))}
        for _ in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                seconds[name].append(cpu_seconds(arguments, environ))
            seconds[MANY].append(cpu_seconds(COMMANDS["puffer plugins list"], environ | {"PYTHONPATH": site}))
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    baseline = medians["python -c pass"]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, medians of {rounds}")
    for name, median in medians.items():
        print(f"{name:24}  {1000 * median:7.1f} ms CPU  {median / baseline:5.2f} x")


if __name__ == "__main__":
    main()
