"""Backend: an engine. Its `ops` compute, its optimizers step, its `compile` makes a function fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from puffer_core.arrays import Params, Tree
from puffer_core.contracts.ops import Ops, Rng

OptimizerState: TypeAlias = dict[str, Any]
"""Flat: `"adam.m/actor.0.weight"` to array, and counters such as `"adam.step"`; the same names on every engine."""


class OptimizerConfig(BaseModel):
    """Which optimizer, and its constants; the learning rate comes with every step.

    Kingma and Ba 2015 (adam), Loshchilov and Hutter 2019 (adamw), heavy-ball momentum (sgd).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """The update rule."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's running mean (adam, adamw). Larger: smoother, slower to turn."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the squared gradient's running mean (adam, adamw). Larger: steadier step sizes."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Added to the root of the second moment. Larger: smaller steps where gradients are tiny."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled decay of the weights a step, times the learning rate (adamw only)."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last step that is repeated (sgd only)."""


@runtime_checkable
class Optimizer(Protocol):
    """A pure rule from gradients to parameters."""

    def init(self, params: Params) -> OptimizerState:
        """Zero state for every parameter that is differentiated."""
        ...

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step. Consumes `params`, `gradients` and `state`; `stats.` entries pass through unchanged."""
        ...


@runtime_checkable
class Backend(Protocol):
    """An engine, built as `target(config)`.

    **Consuming.** Arguments that a function consumes must not be used after the call: torch writes into them,
    JAX gives their memory away. Keep a `copy` of what is still needed.

    **Aliasing.** `to_device` and `to_numpy` share memory where the hardware allows. Whoever then writes into
    the NumPy side first makes sure that the engine is done with it; functions made by `compile` are, when they return
    or when `to_numpy` of any result has returned. An engine that may go on computing with shared memory after other
    calls have returned is a `LendingBackend` too.
    """

    name: str
    ops: Ops
    device: str
    """Where arrays live, in the engine's own words: `cpu`, `cuda:0`."""
    on_host: bool
    """Arrays live in host memory: acting may run on NumPy over the same bytes."""
    rank: int
    """This process among those that train together, 0 where there is one."""
    world_size: int
    """How many there are.

    A backend joins the others when it is built, where a launcher has set RANK, WORLD_SIZE (more than 1), MASTER_ADDR
    and MASTER_PORT (`peers.Peers`), and leaves them when the process ends. A group that the program has joined itself
    is used, and left to the program. NumPy's, which only acts, is alone in every process.
    """

    def to_device(self, tree: Tree) -> Tree:
        """NumPy arrays as the engine's, on its device."""
        ...

    def to_numpy(self, tree: Tree) -> Tree:
        """The engine's arrays as NumPy's, gradients dropped."""
        ...

    def copy(self, tree: Tree) -> Tree:
        """The engine's arrays in memory of their own."""
        ...

    def rng(self, seed: int) -> Rng:
        """A source of noise for `ops`, from a seed in 0..2**63-1.

        Draw the seed from one of the run's streams at every update: the stream is what is saved.
        """
        ...

    def compile(self, fn: Callable[..., Tree], *, consumes: tuple[int, ...] = (), rows: int = 0) -> Callable[..., Tree]:
        """`fn(ops, *arguments)` as a fast function of `arguments`.

        `fn` is pure; arguments and results are trees of arrays, Python floats and rngs. A new shape may compile anew.

        Args:
            fn: the function; its first argument is `ops`.
            consumes: positions among `arguments` (0 is the first after `ops`) that the call consumes.
            rows: rows of the largest array that one pass works on, 0 if unknown; a hint for the number of threads.
        """
        ...

    def optimizer(self, config: OptimizerConfig) -> Optimizer:
        """The optimizer of this engine; the same numbers as on every other, to rounding."""
        ...

    def all_reduce(self, tree: Tree, op: Literal["mean", "sum", "max"] = "mean") -> Tree:
        """Combine a tree over all ranks; the tree itself where there is one rank.

        Every rank calls it in the same order, from one thread, with trees of the same names, shapes and dtypes, and
        gets the same bits. Portable code calls it between compiled functions, not inside one.

        Args:
            tree: the engine's arrays, floats or (`sum`, `max`) integers; not consumed.
            op: elementwise.

        Raises:
            ResourceError: another process ended, or did not answer in time.
            UnsupportedError: flags, or a mean of integers.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """JSON values for the manifest: engine version, device, rank, world size, threads, determinism."""
        ...


@runtime_checkable
class LendingBackend(Protocol):
    """A `Backend` whose computations may still read memory that it shares with NumPy when the call has returned.

    Collection takes every rollout back before it writes the slots again, so that no consumer, however it computes, sees
    them change.
    """

    def take_back(self, tree: Tree) -> None:
        """Wait until nothing reads the memory of these arrays any more; they may be void from then on.

        Args:
            tree: what `to_device` gave; arrays that were consumed meanwhile may be among it.
        """
        ...
