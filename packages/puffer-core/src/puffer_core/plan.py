"""A run plan: every choice of a run, validated, before anything of it is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from puffer_core.plugins.records import Provided
from puffer_core.specs import PolicySpec, TrainerSpec


class VectorConfig(BaseModel):
    """How environments are batched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_envs: int = Field(default=32, ge=1)
    """Environments stepped together. More: faster steps, fewer and larger updates for the same number of steps."""
    mode: Literal["auto", "serial", "process", "native"] = "auto"
    """`serial`: one after another in the main process; `process`: in worker processes too; `native`: as the batch that
    the env itself is; `auto`: what is fastest here."""
    workers: int = Field(default=0, ge=0)
    """Processes beside the main one that step environments; 0: as many as the cores allow."""
    isolate: bool = False
    """Step no environment in the main process: a crash in an env then costs a transition, not the run; slower on few
    cores."""
    batches: Literal[1, 2] = 1
    """2: while the policy acts in one half of the environments, workers step the other."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds that a worker may take for one step of its environments before it is killed and restarted."""
    restarts: int = Field(default=1000, ge=0)
    """Workers that may be restarted in a run before it gives up."""
    poison: bool = False
    """Fill slots that are about to be written again with NaN and extremes, so that a view kept too long shows."""


class RunOptions(BaseModel):
    """Options that every trainer shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    total_steps: int = Field(100_000, ge=1)
    """Where training ends, in the trainer's unit (env steps for PPO)."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seeds every random stream of the run."""
    run: str = ""
    """The run's directory; a new one under runs/ when empty."""
    eval_every: int = Field(0, ge=0)
    """Evaluate each time this many steps have passed; 0: only at the end."""
    eval_episodes: int = Field(100, ge=1)
    """Episodes of each evaluation."""
    target_return: float | None = Field(None, allow_inf_nan=False)
    """Stop once an evaluation's mean return reaches this; none: train to the end."""
    checkpoint_every: int = Field(0, ge=0)
    """Save each time this many steps have passed; 0: by the clock alone."""
    checkpoint_seconds: float = Field(60.0, ge=0, allow_inf_nan=False)
    """Save at the end of the first update this long after the last save; 0: by steps alone. The end is always saved."""
    keep_last: int = Field(3, ge=0)
    """Keep this many of the latest checkpoints; 0: all."""
    keep_best: int = Field(1, ge=0)
    """Keep this many of the best, too. Evaluations that are among them are saved."""
    best_metric: str = Field("eval/return", pattern=r"^-?[\w./]+$")
    """The metric that decides which checkpoints are the best: the highest value, of `-loss/value` the lowest."""
    keep_every: int = Field(0, ge=0)
    """Keep the first checkpoint at or after each multiple of this many steps, too; 0: none for that."""
    stall_seconds: float = Field(600.0, ge=0, allow_inf_nan=False)
    """Write down where every thread and worker stands if no update ends for this long; 0: never."""
    resume: Literal["never", "auto"] = "never"
    """`auto`: go on with the run in the directory of `--run`, if there is one."""
    quiet: bool = False
    """Print nothing but errors and where the run is."""


class SeedOptions(BaseModel):
    """Options of a command that trains several runs; none of them is an option of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: int = Field(default=0, ge=0)
    """Train this many runs, of seed --seed and those that follow it, and aggregate them; 0: one run."""
    parallel: int = Field(default=0, ge=0)
    """Of several seeds, train this many at once; 0: as many as the cores allow."""


@dataclass(frozen=True)
class Component(Provided):
    """A chosen plugin component with its options.

    Args:
        config: its options as its own pydantic model; for an env, or a component without a model, a dict.
    """

    config: Any


@dataclass(frozen=True)
class RunPlan:
    """Everything that decides a run. `tree` is the same as nested JSON values, which `config.json` keeps.

    `several` says whether the run is one of many, and is no part of the tree. Nor is `settled`: what `auto` in `vector`
    became when the run began, for one that is resumed.
    """

    trainer: Component
    source: str
    env: Component | None
    policy: Component
    backend: Component
    loggers: dict[str, Component]
    vector: VectorConfig
    options: RunOptions
    tree: dict[str, Any]
    settled: VectorConfig | None = None
    several: SeedOptions = field(default_factory=SeedOptions)

    @property
    def trainer_spec(self) -> TrainerSpec:
        """The trainer's description."""
        assert isinstance(self.trainer.spec, TrainerSpec)
        return self.trainer.spec

    @property
    def policy_spec(self) -> PolicySpec:
        """The policy's description."""
        assert isinstance(self.policy.spec, PolicySpec)
        return self.policy.spec
