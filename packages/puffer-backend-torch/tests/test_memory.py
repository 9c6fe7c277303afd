"""Keeping freed memory: where the C library has the switch, and only when asked to."""

from __future__ import annotations

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
