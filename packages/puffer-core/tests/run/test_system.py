from __future__ import annotations

import math
import subprocess
import sys

import psutil
import pytest

import puffer_core.run.system
from puffer_core.run.system import SystemMetrics


def look_again(system: SystemMetrics) -> dict[str, float]:
    system._looked -= 2.0
    return system.metrics()


def test_the_process_is_measured() -> None:
    system = SystemMetrics()
    first = system.metrics()
    assert math.isnan(first["system/cpu"])
    assert 0 < first["system/memory"] < first["system/memory"] + first["system/memory_free"]
    assert first["system/memory_free"] <= psutil.virtual_memory().total
    sum(range(1_000_000))
    assert 0 < look_again(system)["system/cpu"] < 64


def test_it_looks_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puffer_core.run.system.monotonic", lambda: 1.0)
    system = SystemMetrics()
    first = system.metrics()
    bytes_held = bytes(10_000_000)
    assert system.metrics()["system/memory"] == first["system/memory"]
    monkeypatch.setattr("puffer_core.run.system.monotonic", lambda: 2.5)
    assert not math.isnan(system.metrics()["system/cpu"])
    del bytes_held


def test_workers_count_and_may_go() -> None:
    code = "x = bytearray(50_000_000); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        pids = [worker.pid]
        system = SystemMetrics(lambda: pids)
        alone = SystemMetrics().metrics()["system/memory"]
        assert system.metrics()["system/memory"] > alone + 40_000_000
        worker.communicate(b"\n")
    assert look_again(system)["system/cpu"] < 64
    assert system.metrics()["system/memory"] < alone + 40_000_000


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, puffer_core.run.system; print('psutil' in sys.modules, 'pynvml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_gpus_are_there_where_they_are() -> None:
    names = set(SystemMetrics().metrics())
    assert names >= {"system/cpu", "system/memory", "system/memory_free"}
    assert names - {"system/cpu", "system/memory", "system/memory_free"} in (set(), {"system/gpu", "system/gpu_memory"})
    assert puffer_core.run.system._Devices().metrics().keys() <= names
