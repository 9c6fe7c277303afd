"""What a run uses of the machine: `system/*` metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

_PAUSE = 1.0
"""Seconds between two looks: one takes about 0.1 ms a process."""


class SystemMetrics:
    """Cores and memory that the run's processes use, looked at once a second at most; GPUs where NVIDIA's are.

    Figures of GPUs need `pip install 'puffer-core[gpu]'`.

    Args:
        pids: gives the ids of worker processes as they are now; the calling process is always counted.

    Example:
        >>> sorted(SystemMetrics().metrics())[:3]
        ['system/cpu', 'system/memory', 'system/memory_free']
    """

    def __init__(self, pids: Callable[[], Iterable[int]] = tuple) -> None:
        import psutil

        self._library = psutil
        self._pids = pids
        self._own = psutil.Process()
        self._processes: dict[int, Any] = {}
        self._seconds: dict[int, float] = {}
        self._looked = -math.inf
        self._devices = _Devices()
        self._latest: dict[str, float] = {}

    def metrics(self) -> dict[str, float]:
        """The latest look.

        `system/cpu`: cores in use since the look before, workers included; NaN at the first. `system/memory`: bytes of
        the main process, and what workers have for themselves. `system/memory_free`: bytes that the machine can still
        give. `system/gpu`: share of time, 0..1, that the GPUs were busy, their mean; `system/gpu_memory`: bytes in use
        on them, other programs' included.
        """
        now = monotonic()
        if now - self._looked >= _PAUSE:
            self._latest = self._look(now - self._looked)
            self._looked = now
        return dict(self._latest)

    def _look(self, passed: float) -> dict[str, float]:
        used, memory, seconds = 0.0, 0, {}
        for process in (self._own, *self._workers()):
            with suppress(self._library.Error), process.oneshot():  # a worker may end meanwhile
                times, held = process.cpu_times(), process.memory_info()
                seconds[process.pid] = times.user + times.system
                used += seconds[process.pid] - self._seconds.get(process.pid, 0.0)
                memory += held.rss - (0 if process.pid == self._own.pid else getattr(held, "shared", 0))
        self._seconds = seconds
        return {
            "system/cpu": used / passed if math.isfinite(passed) else math.nan,
            "system/memory": float(memory),
            "system/memory_free": float(self._library.virtual_memory().available),
            **self._devices.metrics(),
        }

    def _workers(self) -> list[Any]:
        known, self._processes = self._processes, {}
        for pid in self._pids():
            with suppress(self._library.Error):
                self._processes[pid] = known.get(pid) or self._library.Process(pid)
        return list(self._processes.values())


class _Devices:
    """NVIDIA's GPUs, where their library and driver are; none otherwise."""

    def __init__(self) -> None:
        self._library: Any = None
        self._handles: list[Any] = []
        try:
            import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            return
        with suppress(pynvml.NVMLError):  # no driver, no device
            pynvml.nvmlInit()
            self._library = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    def metrics(self) -> dict[str, float]:
        if not self._handles:
            return {}
        busy, memory = math.nan, math.nan
        with suppress(self._library.NVMLError):
            rates = [self._library.nvmlDeviceGetUtilizationRates(handle).gpu for handle in self._handles]
            busy = sum(rates) / len(rates) / 100
        with suppress(self._library.NVMLError):
            memory = float(sum(self._library.nvmlDeviceGetMemoryInfo(handle).used for handle in self._handles))
        return {"system/gpu": busy, "system/gpu_memory": memory}
