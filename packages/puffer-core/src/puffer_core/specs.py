"""Descriptions that plugins register: light, frozen, and importing nothing they describe.

A Spec names its target as a string, `"module:Attribute"`. The target is imported when the component is
used, never before, so that listing a hundred plugins costs no more than reading their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

_NAME = re.compile(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", re.ASCII)
_ENV_ID = re.compile(r"\w[\w.:/-]*", re.ASCII)
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every registered component says of itself.

    Args:
        name: what people type: lower case, digits, `-`, `_` and `.`.
        summary: one line for listings.
        target: `"module:Attribute"` of what is built when the component is used.
        config: `"module:Attribute"` of its pydantic configuration model; empty where it has no options.
        backends: names of the backends it runs on; empty means all of them.
        capabilities: what it can do beyond the contract, from the closed list `CAPABILITIES` of its kind.

    Raises:
        ValueError: a name or target that is malformed, or a capability that its kind does not have.
    """

    KIND: ClassVar[str] = "component"
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset()
    NAME: ClassVar[re.Pattern[str]] = _NAME
    NAMED: ClassVar[str] = "lower case letters, digits, '-', '_' and '.'"

    name: str
    summary: str
    target: str
    config: str = ""
    backends: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "backends", frozenset(self.backends))
        object.__setattr__(self, "capabilities", frozenset(self.capabilities))
        if not self.NAME.fullmatch(self.name):
            raise ValueError(f"{self.KIND} name {self.name!r}: expected {self.NAMED}")
        for field, value in (("target", self.target), ("config", self.config)):
            if (value or field == "target") and not _TARGET.fullmatch(value):
                raise ValueError(f"{self.KIND} {self.name}: {field} is {value!r}, expected 'module:Attribute'")
        unknown = self.capabilities - self.CAPABILITIES
        if unknown:
            raise ValueError(
                f"{self.KIND} {self.name}: unknown capabilities {sorted(unknown)}, known: {sorted(self.CAPABILITIES)}"
            )

    def runs_on(self, backend: str) -> bool:
        """Whether it runs on the backend of this name.

        Example:
            >>> Spec(name="mine", summary="", target="mine:Mine", backends=frozenset({"jax"})).runs_on("numpy")
            False
        """
        return not self.backends or backend in self.backends


@dataclass(frozen=True, kw_only=True)
class EnvSpec(Spec):
    """An environment. `interface` says what calling the target with the env's options gives.

    - `"gymnasium"`: one `gymnasium.Env`; `target(**options)`; core batches it.
    - `"vector"`: a `VectorEnv`; `target(num_envs, **options)`.
    - `"gymnasium-vector"`: a `gymnasium.vector.VectorEnv`; `target(num_envs, **options)`; used as it is.
    - `"device"`: a `DeviceEnv`, two pure functions over `ops`; `target(num_envs, **options)`.

    The capability `isolated` says that it must not be stepped in the training process: it may crash or misbehave there.

    `arguments` are keyword arguments that the target is always given beside the options, as (name, value) pairs:
    one target then serves a family of envs, and a resolver says which one is meant. The name of a resolved env is
    its id in that family (`CartPole-v1`, `ALE/Pong-v5`), so upper case, `/` and `:` are allowed too.
    """

    KIND: ClassVar[str] = "env"
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset(
        {"action-mask", "cost", "global-state", "isolated", "multi-agent", "snapshot"}
    )

    NAME: ClassVar[re.Pattern[str]] = _ENV_ID
    NAMED: ClassVar[str] = "letters, digits, '-', '_', '.', '/' and ':'"

    interface: Literal["gymnasium", "gymnasium-vector", "vector", "device"] = "gymnasium"
    arguments: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PolicySpec(Spec):
    """A policy. The target is called as `target(config, interface)` and gives a `Policy`."""

    KIND: ClassVar[str] = "policy"
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset({"recurrent", "text"})


@dataclass(frozen=True, kw_only=True)
class TrainerSpec(Spec):
    """A trainer. The target is called as `target(config, context)` and gives a `Trainer`.

    `source` says what it learns from: an env it acts in, or a dataset. `policy` is the default policy's name.
    With `gradients` it differentiates, and runs on backends with the capability `train` alone. `distributed`: several
    processes train together, by the backend's `all_reduce`.
    """

    KIND: ClassVar[str] = "trainer"
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset(
        {"action-mask", "continuous", "discrete", "distributed", "multi-agent", "recurrent"}
    )

    source: Literal["env", "dataset"] = "env"
    policy: str = "mlp"
    gradients: bool = True


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Spec):
    """An engine. The target is called as `target(config)` and gives a `Backend`. `train`: it differentiates."""

    KIND: ClassVar[str] = "backend"
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset({"distributed", "export", "train"})


@dataclass(frozen=True, kw_only=True)
class LoggerSpec(Spec):
    """A metric logger. The target is called as `target(config)` and gives a `MetricLogger`."""

    KIND: ClassVar[str] = "logger"
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset({"artifacts"})


@dataclass(frozen=True, kw_only=True)
class CheckpointableSpec(Spec):
    """A component of a run that is saved with it (a league, a curriculum). Called as `target(config, context)`."""

    KIND: ClassVar[str] = "checkpointable"


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A subcommand of `puffer`. The target is called as `target(arguments)` and gives the exit code."""

    KIND: ClassVar[str] = "command"


def import_target(target: str) -> Any:
    """Import what `"module:Attribute"` names.

    Raises:
        ImportError: the module cannot be imported.
        AttributeError: the module has no such attribute.

    Example:
        >>> import_target("math:pi") > 3
        True
    """
    import gc
    import importlib

    module, _, path = target.partition(":")
    collecting = gc.isenabled()
    gc.disable()  # a large package makes objects by the hundred thousand, none of them garbage: a tenth of torch's time
    try:
        found: Any = importlib.import_module(module)
    finally:
        if collecting:
            gc.enable()
    for part in path.split("."):
        found = getattr(found, part)
    return found
