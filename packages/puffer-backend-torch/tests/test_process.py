"""What is asked of the whole process: memory that is kept, threads that sleep while they wait."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
TorchBackend(TorchConfig(device="cpu", keep_freed_memory={keep}))
for _ in range(3):
    x = torch.ones(16 << 20); del x
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    x = torch.ones(16 << 20); del x
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: bool) -> int:
    """Of making and freeing 20 arrays of 64 MiB, after some to get used to it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the switch")
def test_a_new_array_takes_the_memory_of_the_last():
    assert page_faults(keep=True) < page_faults(keep=False) / 10


WAITS = "import puffer_backend_torch.backend, os; print(os.environ.get('OMP_WAIT_POLICY'))"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active"), ({"GOMP_SPINCOUNT": "1000"}, "None")],
    ids=str,
)
def test_threads_sleep_while_they_wait_unless_the_user_decided(given, expected):
    plain = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run(
        [sys.executable, "-c", WAITS], capture_output=True, text=True, check=True, env={**plain, **given}
    )
    assert done.stdout.strip() == expected
