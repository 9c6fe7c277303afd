"""How long a save keeps training waiting: `python benchmarks/checkpoint.py [--directory DIR] [--rounds N]`.

A checkpoint of a policy with Adam's two moments, three times the parameters in float32, as a trainer on torch hands it
over. The parts are measured one by one; `save` is the whole, whose hashing goes on beside writing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import torch

from puffer_core.checkpoints.manifest import Header, ResumeEntry
from puffer_core.checkpoints.statefile import encoded
from puffer_core.checkpoints.writing import Saved, save

PARAMETERS = (1_000_000, 10_000_000)
LAYERS = 8
INTERVAL = 60.0
"""Seconds between saves, by default."""


def states(parameters: int) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def arrays() -> Iterator[torch.Tensor]:
        for _ in range(LAYERS):
            yield torch.randn(parameters // LAYERS, generator=generator)

    weights = {f"{i}.weight": array for i, array in enumerate(arrays())}
    moments = {f"adam.{kind}/{i}.weight": array for kind in "mv" for i, array in enumerate(arrays())}
    return {"policy": weights, "trainer": moments}


def header(step: int) -> Header:
    return Header(
        step=step,
        unit="env_steps",
        run_id="benchmark",
        config_hash="",
        policy=None,
        plugins=[],
        runtime={},
        resume=ResumeEntry(bitwise=True, reasons=[]),
    )


class Clock:
    """Wall and CPU seconds of named parts, by round."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        wall, cpu = perf_counter(), process_time()
        yield
        self.wall.setdefault(name, []).append(perf_counter() - wall)
        self.cpu.setdefault(name, []).append(process_time() - cpu)


def one_round(clock: Clock, tensors: dict[str, dict[str, torch.Tensor]], place: Path, step: int) -> None:
    to_numpy: Callable[[torch.Tensor], object] = torch.Tensor.numpy
    with clock.part("to_numpy"):
        arrays = {name: {key: to_numpy(tensor) for key, tensor in part.items()} for name, part in tensors.items()}
    with clock.part("encode"):
        files = {f"{name}{suffix}": parts for name, part in arrays.items() for suffix, parts in encoded(part).items()}
    with clock.part("hash"):
        for parts in files.values():
            digest = hashlib.sha256()
            for part in parts:
                digest.update(part)
    handles = [(place / name).open("wb") for name in files]
    with clock.part("write"):
        for handle, parts in zip(handles, files.values(), strict=True):
            handle.writelines(parts)
            handle.flush()
    with clock.part("fsync"):
        for handle in handles:
            os.fsync(handle.fileno())
    for handle in handles:
        handle.close()
        Path(handle.name).unlink()
    saved = {name: Saved(part, "benchmark:State") for name, part in tensors.items()}
    with clock.part("save"):
        path = save(place / "checkpoints", header(step), saved, to_numpy=to_numpy)
    shutil.rmtree(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--directory", default=".", help="on the disk that is measured (default: the working directory)"
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    names = ("to_numpy", "encode", "hash", "write", "fsync", "save")
    print(f"{'parameters':>10} {'MB':>5} {'ms':>5} " + " ".join(f"{name:>8}" for name in names) + "   of 60 s")
    for parameters in PARAMETERS:
        clock, tensors = Clock(), states(parameters)
        with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
            for step in range(arguments.rounds):
                one_round(clock, tensors, Path(place), step)
        for kind, seconds in (("wall", clock.wall), ("cpu", clock.cpu)):
            row = " ".join(f"{1e3 * median(seconds[name]):>8.1f}" for name in names)
            share = f"{median(seconds['save']) / INTERVAL:>9.2%}"
            print(f"{parameters:>10,} {12 * parameters / 1e6:>5.0f} {kind:>5} {row} {share}")


if __name__ == "__main__":
    main()
