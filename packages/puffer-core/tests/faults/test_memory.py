"""N3: memory that runs out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Injecting = Callable[..., AbstractContextManager[Any]]
EXPECTED = "exit 6, a message with the sizes wanted and available; every checkpoint whole"
LIMITED = """
import resource, sys
import numpy, safetensors.numpy, gymnasium, puffer_core.run.loop  # what a limit on address space would hinder first
from pathlib import Path
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
from puffer_core.__main__ import main
sys.exit(main())
"""


def check(ended: Any, wanted: str) -> None:
    assert ended.code == 6, ended.stderr
    first, remedy = ended.stderr.strip().splitlines()[-2:]
    assert first.startswith("error: memory ran out: "), first
    assert f"{wanted}the machine has " in first, first
    assert "of this process's limit of " in first
    assert "--vector.num-envs" in remedy
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("phase", "order", "wanted"),
    [
        ("learn", "allocate", "68.7 GB were wanted; "),
        pytest.param("save", "allocate", "68.7 GB were wanted; ", marks=pytest.mark.faults),
        pytest.param("collect", "bytes", "", marks=pytest.mark.faults),
        pytest.param("evaluate", "bytes", "", marks=pytest.mark.faults),
        pytest.param("learn", "fill", "", marks=pytest.mark.faults),
    ],
)
def test_memory_that_runs_out(
    tmp_path: Path, train: Callable[..., Any], injecting: Injecting, phase: str, order: str, wanted: str
) -> None:
    with injecting(
        "N3", "memory runs out under RLIMIT_AS: in collection, learning, evaluation, saving", EXPECTED
    ) as row:
        at = {"learn": 2, "save": 2, "collect": 50, "evaluate": 1}[phase]
        ended = train(tmp_path, wrapper=LIMITED, phase=phase, at=at, do=order)
        check(ended, wanted)
        assert ended.sound == ["step-000000000032", "step-000000000064"][: 1 + (phase == "evaluate")]
        row.took(ended.seconds)


BUFFERS = [
    *("train", "py:rooms:Learner", "cartpole", "--policy", "py:rooms:Policy", "--backend", "numpy", "--run", "run"),
    *("--vector.mode", "native", "--vector.num-envs", "8000000"),
]


def test_buffers_that_do_not_fit(tmp_path: Path, train: Callable[..., Any], injecting: Injecting) -> None:
    pytest.importorskip("puffer_env_native")
    with injecting("N3", "collection buffers larger than the memory", EXPECTED) as row:
        ended = train(tmp_path, wrapper=LIMITED, command=BUFFERS)
        check(ended, "")
        assert not ended.run.exists()
        row.took(ended.seconds)
