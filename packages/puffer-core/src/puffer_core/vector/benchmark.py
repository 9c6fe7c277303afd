"""Steps a second of an env in every mode that it has, and which of them to use here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import UsageError
from puffer_core.plan import VectorConfig
from puffer_core.specs import EnvSpec
from puffer_core.vector.choosing import largest_share
from puffer_core.vector.measuring import timed_steps

_STRETCHES = 5
_BLOCK, _BYTES = 32, 2**26
"""Slots that a step is written into in turn, and the memory that they may take."""
_AS_FAST = 0.95
"""Of two modes whose rates differ by less than noise, the simpler is proposed."""


@dataclass(frozen=True)
class Measurement:
    """Environment steps a second, all environments together, of one mode."""

    vector: VectorConfig
    steps_per_second: float

    def to_json(self, base: float) -> dict[str, Any]:
        """As JSON values; `ratio` is to `base`, the rate of the first mode."""
        settled = self.vector.model_dump(mode="json", include={"num_envs", "mode", "workers", "isolate"})
        return settled | {
            "envs_per_worker": largest_share(self.vector),
            "steps_per_second": self.steps_per_second,
            "ratio": self.steps_per_second / base,
        }


def candidates(spec: EnvSpec, num_envs: int, cores: int) -> Iterator[VectorConfig]:
    """The configurations to compare, simplest first: numbers of workers by doubling, and what the cores allow.

    Example:
        >>> from puffer_core.vector.choosing import described
        >>> spec = EnvSpec(name="any", summary="", target="a:b")
        >>> for vector in candidates(spec, 8, cores=2):
        ...     print(described(vector))
        serial
        native
        process, 1 worker beside the main process
        process, 1 worker
        process, 2 workers
    """
    given = {"num_envs": num_envs}
    if spec.interface == "device":
        yield VectorConfig(num_envs=num_envs)
        return
    isolated = "isolated" in spec.capabilities
    if not isolated:
        alone = ("serial", "native") if spec.interface == "gymnasium" else ("native",)
        yield from (VectorConfig.model_validate(given | {"mode": mode}) for mode in alone)
    for isolate in (True,) if isolated else (False, True):
        most = min(num_envs if isolate else num_envs - 1, cores if isolate else max(1, cores - 1))
        for workers in doubling(most):
            yield VectorConfig(num_envs=num_envs, mode="process", workers=workers, isolate=isolate)


def doubling(most: int) -> list[int]:
    """1, 2, 4 ... and `most`.

    Example:
        >>> doubling(6), doubling(0)
        ([1, 2, 4, 6], [])
    """
    return sorted({2**power for power in range(most.bit_length())} | {most}) if most else []


def rate(env: VectorEnv, seconds: float) -> float:
    """Environment steps a second, all environments together: the median of five stretches.

    Args:
        env: unbound; left open.
        seconds: of all stretches together; each is at least one step.
    """
    spec = env.spec
    slot_bytes = spec.rows * spec.observation.size * spec.observation.dtype.itemsize
    blocks = timed_steps(env, max(1, min(_BLOCK, _BYTES // max(1, slot_bytes))))
    next(blocks)  # whatever is imported, compiled or allocated at the first step
    rates = []
    for _ in range(_STRETCHES):
        steps, taken = 0, 0.0
        while not steps or taken < seconds / _STRETCHES:
            more, longer = next(blocks)
            steps, taken = steps + more, taken + longer
        rates.append(steps * spec.num_envs / taken)
    return statistics.median(rates)


def measure_modes(
    make: Callable[[VectorConfig], VectorEnv],
    configurations: Sequence[VectorConfig],
    seconds: float,
) -> Iterator[Measurement]:
    """Measure one configuration after another; one that does not exist for the env is left out.

    No two are in memory together: simulators may be large, and workers that wait want the cores too.

    Args:
        make: gives the env of a configuration.
        configurations: what to compare.
        seconds: of each.

    Raises:
        UsageError: none of them works; that of the first.
    """
    refused: list[UsageError] = []
    for vector in configurations:
        try:
            env = make(vector)
        except UsageError as error:
            refused.append(error)
            continue
        with closing(env):
            yield Measurement(vector, rate(env, seconds))
    if refused and len(refused) == len(configurations):
        raise refused[0]


def best(measured: Sequence[Measurement]) -> Measurement:
    """The first of those that are as fast as the fastest, within noise; they come simplest first.

    Example:
        >>> one, two = (Measurement(VectorConfig(workers=n), rate) for n, rate in ((1, 98.0), (2, 100.0)))
        >>> best([one, two]).vector.workers
        1
    """
    fastest = max(one.steps_per_second for one in measured)
    return next(one for one in measured if one.steps_per_second >= _AS_FAST * fastest)
