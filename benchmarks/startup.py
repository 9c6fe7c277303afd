"""CPU time of the light commands as a multiple of `python -c pass`: medians of interleaved runs.

    python benchmarks/startup.py [--rounds 15]

The goal is at most 12 for each, with all packages installed. User and system time of the whole process are counted,
so the figure hardly depends on what else the machine does. It is printed, never asserted.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import puffer_core": ["-c", "import puffer_core"],
    "puffer --version": ["-m", "puffer_core", "--version"],
    "puffer --help": ["-m", "puffer_core", "--help"],
    "puffer plugins list": ["-m", "puffer_core", "plugins", "list"],
    "puffer envs": ["-m", "puffer_core", "envs"],
}


def cpu_seconds(arguments: list[str], directory: str) -> float:
    """User and system time of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, cwd=directory, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command")
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                seconds[name].append(cpu_seconds(arguments, directory))
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}  # the first fills the caches
    baseline = medians["python -c pass"]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, medians of {rounds}")
    for name, median in medians.items():
        print(f"{name:20}  {1000 * median:7.1f} ms CPU  {median / baseline:5.2f} x")


if __name__ == "__main__":
    main()
