"""L1 to L6: loggers that raise, hang, die or find no room; training is what it is without them."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core import api
from puffer_core.checkpoints.reading import load
from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.fanout import RunLoggers
from puffer_core.loggers.jsonl import METRICS, read_metrics
from puffer_core.loggers.queue import Limits
from puffer_core.plugins import PluginHost, Provided
from puffer_core.run.context import RunContext
from puffer_core.specs import LoggerSpec
from puffer_testing import ChaosLogger
from puffer_testing.faults import RAISE

Injecting = Callable[..., AbstractContextManager[Any]]

QUICK = Limits(call=0.5, close=5.0, retries=(0.0, 0.01))
HANGS = ("sleep",)
"""Not `loop`: its thread would take half of this process's time from all tests that follow."""
CASES = [(fault, phase) for fault in (*RAISE, *HANGS) for phase in ChaosLogger.PHASES]
SHORT = [("exit", "open"), ("sleep", "log"), ("unprintable", "close")]


def info(directory: Path) -> RunInfo:
    return RunInfo(id="mine", directory=directory, trainer="t", source="e", config={}, unit="env_steps")


def lines(directory: Path) -> list[dict[str, Any]]:
    """What `metrics.jsonl` says, without what depends on the machine or on the logger; strict JSON, whole lines."""
    text = (directory / METRICS).read_text()
    assert text == "" or text.endswith("\n")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith(("time/", "system/", "logger/"))} for row in rows]


def steps(directory: Path) -> list[int]:
    return [line["step"] for line in lines(directory)]


def learned(directory: Path) -> bytes:
    (checkpoint,) = (directory / "checkpoints").glob("step-*")
    state = load(checkpoint).states["policy"]
    return b"".join(name.encode() + state[name].tobytes() for name in sorted(state))


@pytest.fixture
def host() -> PluginHost:
    made = PluginHost.discover(environ={})
    spec = LoggerSpec(name="chaos", summary="fails", target="puffer_testing.chaos_logger:ChaosLogger")
    made._provided.append(Provided(spec, "puffer-testing", "0"))
    return made


@pytest.fixture
def train(host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A short run of PPO, with this logger where one is given, whose limits are short too."""
    monkeypatch.setattr("puffer_core.run.loop.RunLoggers", partial(RunLoggers, limits=QUICK))

    def trained(name: str, logger: ChaosLogger | None = None) -> Path:
        monkeypatch.setattr(RunContext, "logger", lambda *_: logger)
        options: dict[str, Any] = {"total_steps": 512, "horizon": 16, "eval_episodes": 2, "keep_last": 1}
        api.train(
            "ppo", env="cartpole", run=tmp_path / name, host=host, seed=1, logger=["chaos"] if logger else [], **options
        )
        return tmp_path / name

    return trained


@pytest.mark.parametrize("cases", [SHORT, pytest.param(CASES, marks=pytest.mark.faults)], ids=["short", "all"])
def test_training_is_bitwise_the_same(
    cases: list[tuple[str, str]], train: Callable[..., Path], injecting: Injecting, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("puffer_ppo")
    expected = "training bitwise the same as without it; one warning"
    plain = train("plain")
    for fault, phase in cases:
        what = "a logger hangs for ever" if fault in HANGS else "a logger raises, SystemExit too"
        with injecting("L1", f"{what}, in open, log, artifact or close", expected) as row:
            capfd.readouterr()
            begun = time.monotonic()
            place = train(f"{fault}-{phase}", ChaosLogger(fault=fault, phase=phase))
            row.took(time.monotonic() - begun)
            warned = [line for line in capfd.readouterr().err.splitlines() if "logger chaos" in line]
            assert len(warned) == 1, (fault, phase, warned)
            assert lines(place) == lines(plain), (fault, phase)
            assert learned(place) == learned(plain), (fault, phase)


HANGING = """
import sys
from pathlib import Path
from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.fanout import RunLoggers
from puffer_core.loggers.queue import Limits
from puffer_testing import ChaosLogger

place = Path(sys.argv[1])
info = RunInfo(id="r", directory=place, trainer="t", source="e", config={}, unit="env_steps")
names = {phase: ChaosLogger(fault="sleep", phase=phase) for phase in ChaosLogger.PHASES}
loggers = RunLoggers(names, place, print, limits=Limits(call=0.2, close=0.5))
loggers.open(info, None)
loggers.log(1, {"a": 1.0})
loggers.artifact(1, "a", "text", "a")
loggers.close()
"""


def test_the_process_ends_whatever_hangs(tmp_path: Path, injecting: Injecting) -> None:
    with injecting("L1", "loggers hang for ever when the process ends", "it ends, exit 0") as row:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", HANGING, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
        )
        row.took(time.monotonic() - begun)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("was dropped") == 4
        assert steps(tmp_path) == [1]


def no_account(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(place / "netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(place / name))


SERVED = """
import os, signal, sys
from pathlib import Path
from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.fanout import RunLoggers
from puffer_logger_wandb import WandbConfig, WandbLogger, service

class Killing(WandbLogger):
    def log(self, step, metrics):
        if step in map(int, sys.argv[2:]):
            os.kill(service._process().pid, signal.SIGKILL)
            service._process().wait()
        super().log(step, metrics)

place = Path(sys.argv[1])
info = RunInfo(id="mine", directory=place, trainer="t", source="e", config={}, unit="env_steps")
loggers = RunLoggers({"wandb": Killing(WandbConfig(init_timeout=2, finish_timeout=2))}, place, print)
loggers.open(info, None)
for step in range(100):
    loggers.log(step, {"loss": float(step)})
loggers.close()
print(loggers.metrics())
"""


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.faults)])
def test_wandbs_service_is_killed(
    times: int, tmp_path: Path, injecting: Injecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("puffer_logger_wandb")
    no_account(monkeypatch, tmp_path)
    with injecting("L2", "wandb's service killed", "training goes on; the local record is complete") as row:
        begun = time.monotonic()
        kills = [str(20 * (1 + kill)) for kill in range(times)]
        command = [sys.executable, "-c", SERVED, str(tmp_path), *kills]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert steps(tmp_path) == list(range(100))
        assert "Traceback" not in done.stderr
        assert "'logger/wandb/dropped': 0.0" in done.stdout, done.stdout + done.stderr
        row.took((time.monotonic() - begun) / times)
        row.injected += times - 1


def test_wandbs_server_is_unreachable(tmp_path: Path, injecting: Injecting, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("puffer_logger_wandb")
    no_account(monkeypatch, tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the port `discard`: nothing listens
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with injecting(
        "L2", "wandb's server unreachable", "training starts and goes on; the local record is complete"
    ) as row:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", SERVED, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        assert steps(tmp_path) == list(range(100))
        row.took(time.monotonic() - begun)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    yield
    ballast.unlink()


def test_the_disk_is_full_for_a_while(disk: Path, injecting: Injecting) -> None:
    tensorboard = pytest.importorskip("puffer_logger_tensorboard")
    expected = "training goes on; what waits is written once there is room, what memory cannot hold is counted"
    with injecting("L3", "disk full under the logs", expected) as row:
        warnings: list[str] = []
        limits = Limits(retries=(0.0,))
        loggers = RunLoggers({"tensorboard": tensorboard.TensorBoardLogger()}, disk, warnings.append, limits=limits)
        loggers._jsonl._most = 1000
        loggers.open(info(disk), None)
        loggers.log(0, {"loss": 0.0})
        loggers.sync()
        while not list(disk.glob("tensorboard/*")):
            time.sleep(0.01)
        with full(disk):
            begun = time.monotonic()
            for step in range(1, 1500):
                loggers.log(step, {f"loss/{i}": float(step) for i in range(10)})
                loggers.sync() if step % 500 == 0 else None
            row.took(time.monotonic() - begun)
            written = steps(disk)
            assert written == list(range(len(written)))
        loggers.close()
        dropped = loggers.metrics()["logger/jsonl/dropped"]
        assert dropped == 1500 - 1000 - len(written)
        assert steps(disk) == list(range(1500 - int(dropped)))
        assert len([text for text in warnings if METRICS in text and "cannot be written" in text]) == 1
        assert len([text for text in warnings if "logger tensorboard was dropped" in text]) == 1


def test_a_million_metrics_a_second(tmp_path: Path, injecting: Injecting) -> None:
    metrics = {f"metric/{i}": i / 3 for i in range(30)}
    expected = "at most 5 us a `log` call in the training thread (benchmarks/logging.py); bounded memory"
    with injecting("L4", "a million metrics at once, to a logger that takes none", expected) as row:
        slow = ChaosLogger(fault="sleep", phase="open")
        loggers = RunLoggers({"slow": slow}, tmp_path, [].append, limits=Limits(items=1000, call=60, close=0.1))
        loggers.open(info(tmp_path), None)
        begun = time.monotonic()
        count = 1_000_000 // 30
        for step in range(count):
            loggers.log(step, metrics)
        row.took(time.monotonic() - begun)
        (queue,) = loggers._queues
        assert len(queue._waiting) == 1000
        assert len(loggers._jsonl._waiting) <= loggers._jsonl._most
        loggers.close()
        assert loggers.metrics() == {"logger/jsonl/dropped": 0.0, "logger/slow/dropped": float(count)}
        assert (tmp_path / METRICS).read_bytes().count(b"\n") == count


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("odd")


def test_odd_metrics(tmp_path: Path, injecting: Injecting) -> None:
    torch = pytest.importorskip("torch")
    loss = (torch.ones(3, requires_grad=True) * 2).sum()
    graph = weakref.ref(loss)
    odd: list[tuple[Any, Any, float | None]] = [
        ("nan", math.nan, None), ("inf", math.inf, None), ("-inf", -np.float32(np.inf), None), ("none", None, None),
        (3, 3.0, 3.0), (("a", 1), 1, 1), ("", 0.0, 0.0), ("\ud800", 1.0, 1.0), ("a\n\"b\\", 2.0, 2.0), (None, 4.0, 4.0),
        ("true", True, 1.0), ("huge", 10**400, None), ("loss", loss, 6.0), ("half", torch.tensor(0.5).half(), 0.5),
        ("array", np.array([[1.5]]), 1.5), ("integer", np.int64(7), 7), ("fraction", np.float16(0.25), 0.25),
    ]  # fmt: skip
    for value in ("x", b"x", [1.0], np.zeros(2), torch.zeros(3, requires_grad=True), 1j, object(), Unprintable(), {}):
        odd.append((f"no number {type(value).__name__}", value, math.nan))
    del value
    expected = "no exception, valid JSON, no graph kept alive"
    loggers_given: dict[str, Any] = {"kept": ChaosLogger()}
    tensorboard = pytest.importorskip("puffer_logger_tensorboard")
    loggers_given["tensorboard"] = tensorboard.TensorBoardLogger()
    with injecting(
        "L5", "NaN, infinities, odd names, tensors with a graph, values that are no number", expected
    ) as row:
        begun = time.monotonic()
        warnings: list[str] = []
        loggers = RunLoggers(loggers_given, tmp_path, warnings.append)
        loggers.open(info(tmp_path), None)
        loggers.log(1, {key: value for key, value, _ in odd})
        row.injected += len(odd) - 1
        wanted = {str(key): number for key, _, number in odd if number is None or not math.isnan(number)}
        odd.clear()
        del loss
        gc.collect()
        assert graph() is None
        loggers.close()
        (line,) = lines(tmp_path)
        assert line == {"step": 1, **wanted}
        assert len(warnings) == 1
        assert loggers.metrics().keys() == {f"logger/{name}/dropped" for name in ("jsonl", "kept", "tensorboard")}
        assert not any(loggers.metrics().values())
        row.took(time.monotonic() - begun)


RESUMED = """
import os, signal, sys
from pathlib import Path
from puffer_core.contracts.logger import RunInfo
from puffer_core.loggers.fanout import RunLoggers
from puffer_logger_tensorboard import TensorBoardLogger
from puffer_logger_wandb import WandbConfig, WandbLogger

place, last, begin, end, saved, killed = Path(sys.argv[1]), *map(int, sys.argv[2:])
info = RunInfo(id="mine", directory=place, trainer="t", source="e", config={}, unit="env_steps")
wandb = WandbLogger(WandbConfig(mode="offline"))
loggers = RunLoggers({"tensorboard": TensorBoardLogger(), "wandb": wandb}, place, print)
loggers.open(info, None if last < 0 else last)
for step in range(begin, end):
    loggers.log(step, {"loss": float(step)})
    if step == saved:
        loggers.sync()
    if killed and step == end - 1:
        if killed == 2:  # the others are far
            for queue in loggers._queues:
                while queue._waiting:
                    queue._thread.join(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
loggers.close()
"""


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.faults)])
def test_no_step_twice_and_none_missing(
    rounds: int, tmp_path: Path, injecting: Injecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process is killed 10 steps after its save; the next goes on from there, as a run from its checkpoint."""
    pytest.importorskip("puffer_logger_tensorboard")
    pytest.importorskip("puffer_logger_wandb")
    no_account(monkeypatch, tmp_path)
    expected = "no step twice, none missing, in JSONL, TensorBoard and W&B (offline)"
    with injecting("L6", "SIGKILL between saves, then resumed", expected) as row:
        saved = -1
        for turn in range(rounds + 1):
            last, kill = saved, 0 if turn == rounds else 1 + turn % 2
            saved = last + 50
            numbers = [last, last + 1, saved + 11, saved, kill]
            begun = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", RESUMED, str(tmp_path), *map(str, numbers)],
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr
            if kill:
                row.took(time.monotonic() - begun)
        every = list(range(saved + 11))
        assert steps(tmp_path) == every
        assert [row["loss"] for row in read_metrics(tmp_path / METRICS)] == every
        assert in_tensorboard(tmp_path) == every
        assert in_wandb(tmp_path) == every


def in_tensorboard(place: Path) -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(place / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return [event.step for event in read.Scalars("loss")]


def in_wandb(place: Path) -> list[int]:
    """Steps of each file in turn, as wandb's own reader has them."""
    found: list[int] = []
    for file in sorted(place.glob("wandb/*run-*/*.wandb"), key=lambda file: file.stat().st_mtime):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        found += [record["history"]["item"]["_step"] for record in records if record["type"] == "history"]
    return found
