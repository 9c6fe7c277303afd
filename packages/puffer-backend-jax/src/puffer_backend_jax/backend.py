"""The backend itself: devices, memory shared with NumPy, compiled functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from puffer_backend_jax.cache import compiling
from puffer_backend_jax.config import JaxConfig
from puffer_backend_jax.devices import find_devices, placement
from puffer_backend_jax.group import Group
from puffer_backend_jax.lending import Lender
from puffer_backend_jax.ops import JaxOps
from puffer_core.arrays import Params, Tree, map_tree, named_leaves
from puffer_core.contracts.backend import Optimizer, OptimizerConfig, OptimizerState
from puffer_core.contracts.ops import Ops
from puffer_core.cores import usable_cores
from puffer_core.numpy_backend import numpy_ops
from puffer_core.optimizers import FormulaOptimizer, initial_state
from puffer_core.peers import Peers

_call: ContextVar[ExitStack] = ContextVar("the compiled function's call that is under way")


class JaxBackend:
    """JAX on one device, or on several that share minibatches out.

    Whatever happens here happens under `jax.enable_x64`, so that arrays keep the dtypes that they come with, in this
    thread and until the call returns: other users of JAX in the process don't notice.

    Args:
        config: devices, and whether compiled programs are kept for the next run.

    Raises:
        UsageError: devices that this machine, or this build of JAX, does not have.
        ResourceError: RANK and WORLD_SIZE are set, and the other processes did not come in time.

    Example:
        >>> backend = JaxBackend(JaxConfig(device="cpu"))
        >>> double = backend.compile(lambda ops, x: x + x)
        >>> backend.to_numpy(double(backend.to_device(np.ones(2, np.float32))))
        array([2., 2.], dtype=float32)

    """

    name = "jax"

    def __init__(self, config: JaxConfig | None = None) -> None:
        self.config = config or JaxConfig()
        peers = Peers.launched()
        self.rank, self.world_size = (peers.rank, peers.world_size) if peers else (0, 1)
        self._group = Group(peers, self.config.peer_timeout) if peers else None
        mesh = find_devices(self.config.device, self.config.devices)
        self._device: jax.Device = mesh.devices[0]
        self._placement = placement(mesh)
        self.on_host = self._device.platform == "cpu"
        self.device = "cpu" if self.on_host and self._device.id == 0 else str(self._device)
        table: Any = JaxOps(parallel=not self.on_host, mesh=mesh)
        self.ops: Ops = table
        self._lender = Lender(cached=self.config.cache)
        self._copy = self.compile(lambda _, tree: map_tree(jnp.copy, tree))

    def to_device(self, tree: Tree) -> Tree:
        """NumPy arrays as JAX's: on the CPU the same memory, where it begins on 64 bytes and has no gaps."""
        with self._scope():
            return jax.device_put(map_tree(_taken, tree), self._placement, may_alias=True)

    def take_back(self, tree: Tree) -> None:
        """Wait until nothing reads the memory of these arrays; on the CPU, where NumPy has it too, delete them."""
        arrays = [x for _, x in named_leaves(tree) if isinstance(x, jax.Array)]
        if self.on_host:
            with self._scope():
                self._lender.take_back(arrays)
        else:
            jax.block_until_ready([x for x in arrays if not x.is_deleted()])  # type: ignore[no-untyped-call]

    def to_numpy(self, tree: Tree) -> Tree:
        """JAX's arrays as NumPy's, read-only: on the CPU the same memory."""
        return map_tree(np.asarray, tree)

    def copy(self, tree: Tree) -> Tree:
        """Arrays in memory of their own."""
        return self._copy(tree)  # one program: JAX takes 40 us an array where it copies them one by one

    def rng(self, seed: int) -> jax.Array:
        """A key of `jax.random`, from all 64 bits of the seed."""
        words = np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
        with self._scope():
            key: jax.Array = jax.random.wrap_key_data(jax.device_put(words, self._placement), impl="threefry2x32")
            return key

    def compile(self, fn: Callable[..., Tree], *, consumes: tuple[int, ...] = (), rows: int = 0) -> Callable[..., Tree]:
        """`fn` as one program for each set of shapes. On the CPU, it has run when the call returns."""
        del rows  # XLA decides on threads
        cached = self.config.cache

        def traced(*arguments: Any) -> Tree:
            # Only a call that compiles gets here, so that no other pays for the settings.
            _call.get().enter_context(compiling(cached=cached))
            return fn(self.ops, *arguments)

        several = self.config.devices > 1
        program = jax.jit(traced, donate_argnums=consumes, out_shardings=self._placement if several else None)

        def call(*arguments: Any) -> Tree:
            with self._scope(), ExitStack() as stack:
                before = _call.set(stack)
                try:
                    result = program(*arguments)
                finally:
                    _call.reset(before)
            # A result that is an argument passed through is there before the program has run.
            if self.on_host:
                jax.block_until_ready(result)  # type: ignore[no-untyped-call]
            return result

        return call

    def optimizer(self, config: OptimizerConfig) -> Optimizer:
        """Adam, AdamW or SGD."""
        return _Optimizer(self, config)

    def all_reduce(self, tree: Tree, op: Literal["mean", "sum", "max"] = "mean") -> Tree:
        """A tree combined over all ranks, the same bits in each; the tree itself where one process trains."""
        if self._group is None:
            return tree
        with self._scope():
            return self.to_device(self._group.all_reduce(self.to_numpy(tree), op))

    def describe(self) -> dict[str, Any]:
        """What decides speed and rounding here."""
        return {
            "engine": "jax",
            "version": jax.__version__,
            "device": self.device,
            "devices": self.config.devices,
            "kind": self._device.device_kind,
            "rank": self.rank,
            "world_size": self.world_size,
            "threads": usable_cores(),
            "deterministic": self.on_host or "--xla_gpu_deterministic_ops=true" in os.environ.get("XLA_FLAGS", ""),
        }

    @contextmanager
    def _scope(self) -> Iterator[None]:
        with jax.enable_x64(new_val=True), jax.default_device(self._device):
            yield


class _Optimizer(FormulaOptimizer):
    """The core's rules, where the backend's arrays are."""

    def __init__(self, backend: JaxBackend, config: OptimizerConfig) -> None:
        super().__init__(backend.ops, config)
        self._backend = backend

    def init(self, params: Params) -> OptimizerState:
        """Zeros of NumPy's, moved: JAX compiles a program for each shape that it makes itself."""
        state: OptimizerState = self._backend.to_device(initial_state(numpy_ops, self.config, params))
        return state

    def apply(
        self, params: Params, gradients: Params, state: OptimizerState, learning_rate: Any
    ) -> tuple[Params, OptimizerState]:
        """One step."""
        with self._backend._scope():
            return super().apply(params, gradients, state, learning_rate)


def _taken(x: Any) -> Any:
    """`x` as JAX takes it: other libraries' arrays through DLPack, so that they need not visit the host."""
    if isinstance(x, jax.Array | np.ndarray):
        return x
    return jnp.from_dlpack(x) if hasattr(x, "__dlpack__") and not isinstance(x, np.generic) else np.asarray(x)
