"""What a `log` call of 30 metrics costs the training thread: `python benchmarks/log_call.py`; every case in a process.

Beside the call itself stand what the line costs the thread that writes it, and a call while a million metrics a second
come, where that thread and training share the interpreter's lock. Microseconds; `cpu` is what the calling thread
computed, `wall` what it waited too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CALLS, METRICS, PAUSE = 20_000, 30, 30e-6
CASES = {"metrics.jsonl": 0, "and 1 logger": 1, "and 2 loggers": 2}


class Quick:
    """Takes everything at once."""

    def open(self, run, last_step):
        pass

    def log(self, step, metrics):
        pass

    def artifact(self, step, name, kind, value):
        pass

    def close(self):
        pass


def worker(loggers: int, paced: bool) -> None:
    from puffer_core.contracts.logger import RunInfo
    from puffer_core.loggers.fanout import RunLoggers

    with tempfile.TemporaryDirectory() as place:
        info = RunInfo(id="r", directory=Path(place), trainer="t", source="e", config={}, unit="env_steps")
        made = RunLoggers({f"quick{i}": Quick() for i in range(loggers)}, Path(place), print)
        made.open(info, None)
        metrics = {f"some/metric_{i}": 1.0 / (i + 3) for i in range(METRICS)}
        wall, cpu = [], 0.0
        for step in range(CALLS):
            before, start = time.thread_time_ns(), time.perf_counter_ns()
            made.log(step, metrics)
            wall.append(time.perf_counter_ns() - start)
            cpu += time.thread_time_ns() - before
            if paced:
                until = time.perf_counter() + PAUSE
                while time.perf_counter() < until:
                    pass
            elif step % 100 == 0:
                time.sleep(0.002)  # an update ends: the writing thread has its turn, as under a real run
        start = time.process_time()
        made.close()
        closing = time.process_time() - start
        overhead = clock()
    wall.sort()
    print(
        json.dumps(
            {
                "mean": sum(wall) / CALLS / 1e3 - overhead,
                "p50": wall[CALLS // 2] / 1e3 - overhead,
                "p99": wall[CALLS * 99 // 100] / 1e3 - overhead,
                "cpu": cpu / CALLS / 1e3 - overhead,
                "closing": closing,
            }
        )
    )


def clock() -> float:
    """What reading the clocks costs, microseconds."""
    start = time.perf_counter_ns()
    for _ in range(10_000):
        time.thread_time_ns(), time.perf_counter_ns()
    return (time.perf_counter_ns() - start) / 10_000 / 1e3 / 2


def line() -> float:
    """Microseconds that making and writing one line takes, in whichever thread."""
    from puffer_core.contracts.logger import RunInfo
    from puffer_core.loggers.jsonl import JsonlLogger

    with tempfile.TemporaryDirectory() as place:
        logger = JsonlLogger(most=CALLS)
        logger.open(RunInfo(id="r", directory=Path(place), trainer="t", source="e", config={}, unit="s"), None)
        logger._closing.set()  # no thread: `sync` writes all
        metrics = {f"some/metric_{i}": 1.0 / (i + 3) for i in range(METRICS)}
        for step in range(CALLS):
            logger.log(step, metrics)
        start = time.process_time()
        logger.sync()
        return (time.process_time() - start) / CALLS * 1e6


def main() -> None:
    print(f"{'us a log call of 30 metrics':<32}{'mean':>8}{'p50':>8}{'p99':>8}{'cpu':>8}")
    for title, paced in (("", False), (", a million a second", True)):
        for name, loggers in CASES.items():
            command = [sys.executable, __file__, str(loggers), str(int(paced))]
            figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            print(f"{name + title:<32}" + "".join(f"{figures[key]:>8.2f}" for key in ("mean", "p50", "p99", "cpu")))
    print(f"{'a line, in the writing thread':<32}{line():>8.2f}")


if __name__ == "__main__":
    # this script's name is that of a module of the standard library, which must be found first
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent.resolve()]
    worker(int(sys.argv[1]), sys.argv[2] == "1") if len(sys.argv) > 1 else main()
