"""What `--vector.mode auto` means here: measure a few steps of an env, and propose mode and workers for this machine.

Serial and process mode give the same rows bit for bit, so a measurement may decide between them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from puffer_core.errors import PufferError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec
from puffer_core.vector.declaring import declared
from puffer_core.vector.measuring import generators_kept, measure_step
from puffer_core.vector.shares import cores as count_cores
from puffer_core.vector.shares import is_isolated, main_takes_part

ROUND_TRIP = 80e-6
"""Seconds that a batch loses to handing out actions, waiting and gathering, on cores that something else wants too."""
BYTES_A_SECOND = 4e9
"""Reading what another core has written."""
START_UP = 0.5
"""Seconds until workers are there: an interpreter each, NumPy and the env's own imports."""
WORTHWHILE = 0.8
"""Workers must bring a batch below this share of its serial time."""


@dataclass(frozen=True)
class Choice:
    """A mode that was settled, and why.

    Args:
        vector: the configuration with `mode` and `workers` decided.
        reason: in a few words.
        step_seconds: what one environment's step costs, measured; None where nothing was.
    """

    vector: VectorConfig
    reason: str
    step_seconds: float | None = None

    @property
    def uses_processes(self) -> bool:
        """Whether there are workers."""
        return self.vector.mode == "process"

    def __str__(self) -> str:
        """One line, such as `process, 1 worker beside the main process (a step costs 140 us)`."""
        return f"{described(self.vector)} ({self.reason})"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for the run's directory."""
        settled = self.vector.model_dump(mode="json", include={"num_envs", "mode", "workers", "isolate", "batches"})
        return settled | {"reason": self.reason, "step_seconds": self.step_seconds}


def described(vector: VectorConfig) -> str:
    """A settled configuration in words.

    Example:
        >>> described(VectorConfig(mode="process", workers=2, isolate=True)), described(VectorConfig(mode="serial"))
        ('process, 2 workers', 'serial')
    """
    if vector.mode != "process":
        return vector.mode
    workers = f"{vector.workers or 'as many'} worker{'' if vector.workers == 1 else 's'}"
    return f"process, {workers}{' beside the main process' if main_takes_part(vector) else ''}"


def largest_share(vector: VectorConfig) -> int:
    """Environments that the busiest process steps.

    Example:
        >>> largest_share(VectorConfig(num_envs=8, mode="process", workers=2))
        3
    """
    if vector.mode != "process":
        return vector.num_envs
    return -(-vector.num_envs // max(1, vector.workers + main_takes_part(vector)))


def propose(
    step_seconds: float,
    observation_bytes: int,
    num_envs: int,
    cores: int,
    *,
    vector: VectorConfig | None = None,
    alone: str = "serial",
    env_steps: int | None = None,
) -> Choice:
    """The fastest mode by a model of what a batch costs; a pure function.

    In one process a batch costs `num_envs` steps. With workers it costs the largest share, a round trip, and reading
    what the others wrote. Of equal times the fewest workers win.

    Args:
        step_seconds: what one environment's step costs, > 0.
        observation_bytes: what an environment observes a step.
        num_envs: environments of the batch, >= 1.
        cores: that this process may use, >= 1.
        vector: the rest of the configuration.
        alone: the mode without workers: `serial`, or `native` for an env that is a batch of its own.
        env_steps: of the whole run, over all environments; a short one does not earn the workers' start-up. None: long.

    Example:
        >>> print(propose(140e-6, 7056, 32, cores=2))
        process, 1 worker beside the main process (a step costs 140 us)
        >>> print(propose(8e-6, 16, 8, cores=2))
        serial (a step costs 8 us, workers would not pay)
        >>> print(propose(8e-6, 16, 64, cores=2, env_steps=10_000))
        serial (a step costs 8 us, workers would not pay in so short a run)
    """
    given = (vector or VectorConfig()).model_copy(update={"num_envs": num_envs})
    plain = given.model_copy(update={"mode": alone, "workers": 0})
    cost = f"a step costs {_microseconds(step_seconds)}"
    one_process = num_envs * step_seconds
    candidates = [
        given.model_copy(update={"mode": "process", "workers": workers}) for workers in range(1, min(cores, num_envs))
    ]
    if not candidates:
        return Choice(plain, f"{cost}, and there is one {'core' if cores == 1 else 'environment'}", step_seconds)

    def seconds(candidate: VectorConfig) -> float:
        share = largest_share(candidate)
        return share * step_seconds + ROUND_TRIP + (num_envs - share) * observation_bytes / BYTES_A_SECOND

    best = min(candidates, key=seconds)
    if seconds(best) > WORTHWHILE * one_process:
        return Choice(plain, f"{cost}, workers would not pay", step_seconds)
    if env_steps is not None and (one_process - seconds(best)) * env_steps / num_envs < START_UP:
        return Choice(plain, f"{cost}, workers would not pay in so short a run", step_seconds)
    return Choice(best, cost, step_seconds)


def _microseconds(seconds: float) -> str:
    micro = seconds * 1e6
    return f"{micro:.0f} us" if micro < 1000 else f"{micro / 1000:,.3g} ms"


def choose(
    provided: Provided,
    target: Any,
    options: dict[str, Any],
    vector: VectorConfig,
    *,
    cores: int | None = None,
    env_steps: int | None = None,
) -> Choice | None:
    """Settle `auto` for an env, by a look of at most a third of a second where one is needed.

    Args:
        provided: the environment's description and who provides it.
        target: what its `spec.target` names, imported.
        options: the environment's options, by name.
        vector: as asked for.
        cores: that this process may use; looked up where None.
        env_steps: of the whole run, as in `propose`.

    Returns:
        The choice; None where there is none: another mode was asked for, or the env is a batch of its own anyway.

    Raises:
        PufferError: the env cannot be made.
    """
    spec = declared(provided, target)
    python_batch = spec.interface == "vector" and "multi-agent" in spec.capabilities
    if vector.mode != "auto" or not (spec.interface == "gymnasium" or python_batch):
        return None
    cores = cores or count_cores()
    alone = "native" if python_batch else "serial"
    if wish := _asks_for_workers(spec, vector):
        return Choice(_with_workers(vector, spec, cores), wish)
    if cores == 1 or vector.num_envs == 1:
        return Choice(vector.model_copy(update={"mode": alone}), f"one {'core' if cores == 1 else 'environment'}")
    from puffer_core.vector import make_vector_env

    with (
        generators_kept(),
        closing(
            make_vector_env(provided, target, options, vector.model_copy(update={"num_envs": 1, "mode": alone}))
        ) as env,
    ):
        layout = env.spec.observation
        size = env.spec.rows * layout.size * layout.dtype.itemsize
        try:
            seconds = measure_step(env)
        except PufferError:
            return None  # it fails under random actions: the run meets that itself, with the seed that it was given
    return propose(seconds, size, vector.num_envs, cores, vector=vector, alone=alone, env_steps=env_steps)


def _asks_for_workers(spec: EnvSpec, vector: VectorConfig) -> str:
    """Why there have to be workers, whatever a step costs; empty where they need not be."""
    if is_isolated(spec, vector):
        return "no environment in the main process"
    if vector.batches == 2:
        return "two batches, one stepped while the policy acts in the other"
    return "as asked" if vector.workers else ""


def _with_workers(vector: VectorConfig, spec: EnvSpec, cores: int) -> VectorConfig:
    isolate = is_isolated(spec, vector)
    most = cores if isolate or vector.batches == 2 else cores - 1
    workers = vector.workers or max(1, min(most, vector.num_envs))
    return vector.model_copy(update={"mode": "process", "workers": workers, "isolate": isolate})
