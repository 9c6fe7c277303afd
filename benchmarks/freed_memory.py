"""What keeping freed memory brings: `python benchmarks/freed_memory.py`; each side in its own processes, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from statistics import median
from time import perf_counter

ROWS = (256, 1024, 4096, 16384)
ROUNDS = 5


def worker(keep: bool) -> None:
    import numpy as np
    import torch

    from puffer_backend_torch.backend import TorchBackend
    from puffer_backend_torch.config import TorchConfig

    backend = TorchBackend(TorchConfig(device="cpu", threads=1, keep_freed_memory=keep))
    generator = np.random.default_rng(0)

    weights = [generator.normal(size=pair).astype(np.float32) / 8 for pair in pairwise((4, 64, 64, 2))]
    params = backend.to_device({f"{i}": weight for i, weight in enumerate(weights)})

    def loss(ops, params, x):  # type: ignore[no-untyped-def]
        for name in ("0", "1"):
            x = ops.tanh(ops.linear(x, params[name]))
        return ops.mean(ops.square(ops.log_softmax(ops.linear(x, params["2"]), axis=-1))), ()

    step = backend.compile(lambda ops, p, x: ops.value_and_grad(lambda p, x: loss(ops, p, x))(p, x)[1])
    seconds = {}
    for rows in ROWS:
        x = torch.zeros(1, rows, 4)
        times = []
        for _ in range(40):
            start = perf_counter()
            step(params, x)
            times.append(perf_counter() - start)
        seconds[rows] = median(times[10:])
    print(json.dumps(seconds))


def main() -> None:
    sides: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for keep, results in sides.items():
            done = subprocess.run(
                [sys.executable, __file__, "keep" if keep else "return"], capture_output=True, text=True, check=True
            )
            results.append(json.loads(done.stdout))
    print(f"{'rows':>6} {'returned ms':>12} {'kept ms':>9} {'ratio':>6}")
    for rows in ROWS:
        kept, returned = (median(result[str(rows)] for result in sides[side]) for side in (True, False))
        print(f"{rows:>6} {returned * 1e3:>12.2f} {kept * 1e3:>9.2f} {kept / returned:>6.2f}")


if __name__ == "__main__":
    worker(sys.argv[1] == "keep") if len(sys.argv) > 1 else main()
