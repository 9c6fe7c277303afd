"""Small components with every kind of option, and a host that knows them and nothing else."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from puffer_core.config import resolve
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost, Provided
from puffer_core.plugins.loading import HookManager
from puffer_core.specs import BackendSpec, EnvSpec, LoggerSpec, PolicySpec, Spec, TrainerSpec


class Mood(Enum):
    """A choice."""

    CALM = "calm"
    BOLD = "bold"


class LearnerConfig(BaseModel):
    """Options of the trainer `learner`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(1e-3, gt=0)
    """Step size, 100 % of it."""
    horizon: int = Field(128, ge=1, le=4096)
    """Steps an update."""
    minibatches: int = Field(4, ge=1)
    """Parts of a rollout."""
    target_kl: float | None = Field(None, gt=0)
    normalize: bool = True
    """Whether to."""
    mood: Mood = Mood.CALM
    bounds: tuple[float, float] = (-1.0, 1.0)
    clip: float = float("inf")
    optimizer: OptimizerConfig = OptimizerConfig(beta1=0.8)

    @model_validator(mode="after")
    def _divides(self) -> LearnerConfig:
        if self.horizon % self.minibatches:
            raise ValueError(f"{self.minibatches} does not divide {self.horizon}")
        return self


class NetConfig(BaseModel):
    """Options of the policy `net`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 64), min_length=1)
    activation: Literal["tanh", "relu"] = "tanh"
    shared: bool = False


class MemoryConfig(BaseModel):
    """Options of the policy `memory`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 8
    tags: list[str] = []


class EngineConfig(BaseModel):
    """Options of the backend `torch`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    device: Annotated[str, "one of cpu, gpu"] = Field("cpu", pattern="^(cpu|gpu)$")


class MazeConfig(BaseModel):
    """Options of the env `maze`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(5, ge=2)
    fast: bool = False


class BoardConfig(BaseModel):
    """Options of the logger `my-board`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path = Path("board")


class Greedy(BaseModel):
    """A trainer's options that take a name which all trainers share."""

    seed: int = 3


class Explosive(BaseModel):
    """A model whose own check is wrong."""

    power: int = 1

    @model_validator(mode="after")
    def _check(self) -> Explosive:
        raise KeyError("power")


FAKES = "puffer_core_config_fakes"
sys.modules[FAKES] = sys.modules[__name__]


def provided(spec: type[Spec], name: str, config: str = "", **rest: Any) -> Provided:
    """A component of the distribution `fakes`."""
    where = f"{FAKES}:{config}" if config else ""
    return Provided(
        spec(name=name, summary=f"the {name}", target=f"{FAKES}:FAKES", config=where, **rest), "fakes", "1.0"
    )


TORCH = provided(BackendSpec, "torch", "EngineConfig", capabilities=frozenset({"train"}))
COMPONENTS = [
    provided(TrainerSpec, "learner", "LearnerConfig", policy="net"),
    provided(TrainerSpec, "counter", policy="net", backends=frozenset({"numpy"}), gradients=False),
    provided(TrainerSpec, "reader", policy="net", source="dataset"),
    provided(TrainerSpec, "greedy", "Greedy", policy="net"),
    provided(TrainerSpec, "explosive", "Explosive", policy="net"),
    provided(PolicySpec, "net", "NetConfig"),
    provided(PolicySpec, "memory", "MemoryConfig"),
    provided(PolicySpec, "module", backends=frozenset({"torch"})),
    provided(PolicySpec, "broken", "FAKES"),
    TORCH,
    provided(BackendSpec, "numpy"),
    provided(EnvSpec, "maze", "MazeConfig"),
    provided(EnvSpec, "field"),
    provided(LoggerSpec, "my-board", "BoardConfig"),
    provided(LoggerSpec, "jsonl"),
]


def make_host(*without: Provided) -> PluginHost:
    """A host of the components above."""
    return PluginHost(HookManager(), (), [item for item in COMPONENTS if item not in without])


@pytest.fixture
def host() -> PluginHost:
    return make_host()


@pytest.fixture
def host_without_torch() -> PluginHost:
    return make_host(TORCH)


@pytest.fixture
def plan(host: PluginHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`resolve` of the trainer `learner`, in an empty directory and an empty environment."""
    monkeypatch.chdir(tmp_path)

    def resolved(*argv: str, trainer: str = "learner", **rest: Any) -> RunPlan:
        return resolve(host, trainer, argv=argv, **{"environ": {}, **rest})

    return resolved
