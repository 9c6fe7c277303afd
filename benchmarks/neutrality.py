"""What it costs that PPO is written once for all engines: ours on torch beside the same PPO written straight in torch.

Same env (our native `cartpole`), first weights, order of minibatches, hyperparameters and number of threads; one
process, in slices of a third of a second in turn. `learning` is an update of one rollout; `training` is collection and
learning. The plain version is what a good engineer writes with `torch.nn.functional`, autograd and `torch.optim.Adam`,
and acts in torch. CPU time counts: a busy machine hardly changes the ratio. Goal: ours at most 1.05 times the other.
Ours has no hand-written gradient in a network without memory: what is compared is the table of ops.

    python benchmarks/neutrality.py [--rounds 9] [--envs 64 --horizon 16] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import write
from plain_torch_ppo import PlainPpo

from puffer_core.arrays import map_tree
from puffer_core.config import resolve
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext

SIZES = ((8, 128), (64, 64), (256, 32), (1024, 16))
SLICE = 1 / 3
Seconds = tuple[float, float]
"""CPU and wall time of one call."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="slices of each")
    parser.add_argument("--envs", type=int, help="one size instead of four; not kept")
    parser.add_argument("--horizon", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of one torch operation")
    arguments = parser.parse_args()
    sizes = SIZES if arguments.envs is None else ((arguments.envs, arguments.horizon),)
    rows = []
    for envs, horizon in sizes:
        rows += measured(envs, horizon, arguments.rounds, arguments.threads)
        print("\n".join(as_text(row) for row in rows[-2:]), flush=True)
    if arguments.envs is None:
        write("neutrality", {"rounds": arguments.rounds, "threads": arguments.threads, "cost": rows})


def measured(envs: int, horizon: int, rounds: int, threads: int) -> list[dict[str, Any]]:
    """One row for learning, one for training."""
    context, theirs_in = (_context(envs, horizon, threads) for _ in range(2))
    ours = context.trainer()
    params = map_tree(np.array, context.backend.to_numpy(ours.agent.params))
    theirs = PlainPpo(params, theirs_in.vector_envs[0], horizon, seed=1)
    compare_first_update(ours, theirs)
    rollout = context.backend.copy(ours._collector.collect(ours.agent.params))
    plain_rollout = theirs.take(rollout)
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "learning": (
            lambda: _learn(ours, rollout, ours._draw_order()),
            lambda: theirs.learn(plain_rollout, theirs.draw_order()),
        ),
        "training": (ours.update, theirs.update),
    }
    found = []
    try:
        for name, (our_call, their_call) in cases.items():
            taken = in_turn(our_call, their_call, rounds)
            row = {"part": name, "envs": envs, "horizon": horizon}
            for at, clock in enumerate(("cpu", "wall")):
                mine, other = ([each[at] for each in side] for side in taken)
                row[f"{clock}_ms"] = [round(1000 * statistics.median(side), 3) for side in (mine, other)]
                row[f"{clock}_ratio"] = round(statistics.median(a / b for a, b in zip(mine, other, strict=True)), 3)
            found.append(row)
    finally:
        context.close()
        theirs_in.close()
    return found


def _context(envs: int, horizon: int, threads: int) -> RunContext:
    host = PluginHost.discover(third_party=False)
    flags = [
        *("--vector.num-envs", str(envs), "--horizon", str(horizon), "--epochs", "4", "--minibatches", "4"),
        *("--learning-rate", "3e-4", "--learning-rate-schedule", "constant", "--total-steps", str(10**9)),
        *("--backend", "torch", "--backend.device", "cpu", "--backend.threads", str(threads)),
    ]
    return RunContext(resolve(host, "ppo", "cartpole", argv=flags), host)


def compare_first_update(ours: Any, theirs: PlainPpo) -> None:
    """Both learn alike: one rollout, one order, the same new weights.

    Raises:
        RuntimeError: they differ by more than rounding.
    """
    rollout = ours._backend.copy(ours._collector.collect(ours.agent.params))
    order = ours._draw_order()
    loss = _learn(ours, rollout, order)["loss/total"]
    plain_loss = theirs.learn(theirs.take(rollout), order)
    weights = ours._backend.to_numpy(ours.agent.params)
    apart = max(float(np.abs(weights[name] - value).max()) for name, value in theirs.weights().items())
    if abs(loss - plain_loss) > 1e-3 * max(1.0, abs(loss)) or apart > 1e-4:
        raise RuntimeError(f"the two learn differently: losses {loss} and {plain_loss}, weights {apart} apart")
    print(f"first update: losses {loss:.6f} and {plain_loss:.6f}, weights at most {apart:.1e} apart")


def _learn(ours: Any, rollout: Any, order: Any) -> dict[str, float]:
    """The learning part of `Ppo.update`."""
    state = ours._params, ours._optimizer_state, ours._running_return
    state, metrics = ours._guard.attempt(ours._update, state, rollout, order, 3e-4)
    ours._params, ours._optimizer_state, ours._running_return = state
    return dict(metrics)


def in_turn(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[list[Seconds], ...]:
    """Seconds a call of both, a slice of each in every round; the first round is left out."""
    taken: tuple[list[Seconds], list[Seconds]] = ([], [])
    for _ in range(rounds + 1):
        for call, into in zip((first, second), taken, strict=True):
            into.append(slice_of(call))
    return taken[0][1:], taken[1][1:]


def slice_of(call: Callable[[], object]) -> Seconds:
    cpu, wall, calls = time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - wall < SLICE or not calls:
        call()
        calls += 1
    return (time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls


def as_text(row: dict[str, Any]) -> str:
    ours, theirs = row["cpu_ms"]
    where = f"{row['envs']:>5} x {row['horizon']:<3} {row['part']:<9}"
    ratios = f"ratio {row['cpu_ratio']:.3f} (wall {row['wall_ratio']:.3f})"
    return f"{where} ours {ours:>8.2f} ms  plain torch {theirs:>8.2f} ms CPU  {ratios}"


if __name__ == "__main__":
    main()
