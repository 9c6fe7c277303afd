"""The backend itself: devices, threads, memory shared with NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from puffer_backend_torch.process import keep_freed_memory, wait_passively

wait_passively()  # OpenMP reads its environment when torch is imported

import torch  # noqa: E402

from puffer_backend_torch.config import TorchConfig  # noqa: E402
from puffer_backend_torch.ops import TorchOps  # noqa: E402
from puffer_backend_torch.optimizers import Adam, Sgd  # noqa: E402
from puffer_core.arrays import Tree, map_tree  # noqa: E402
from puffer_core.contracts.backend import Optimizer, OptimizerConfig  # noqa: E402
from puffer_core.contracts.ops import Ops  # noqa: E402
from puffer_core.errors import UsageError  # noqa: E402
from puffer_core.peers import Peers  # noqa: E402

if TYPE_CHECKING:
    from puffer_backend_torch.group import Group

FEW_ROWS = 1024
"""Below this many rows a second thread costs more than it brings (measured with 2x64 networks)."""


class TorchBackend:
    """PyTorch on one device.

    Args:
        config: device, threads, compilation, determinism.

    Raises:
        UsageError: a device that this machine, or this build of torch, does not have.
        ResourceError: RANK and WORLD_SIZE are set, and the other processes did not come in time.

    Example:
        >>> backend = TorchBackend(TorchConfig(device="cpu"))
        >>> double = backend.compile(lambda ops, x: x + x)
        >>> backend.to_numpy(double(backend.to_device(np.ones(2, np.float32))))
        array([2., 2.], dtype=float32)

    """

    name = "torch"

    def __init__(self, config: TorchConfig | None = None) -> None:
        self.config = config or TorchConfig()
        self._device = _find_device(self.config.device)
        self._all_threads = torch.get_num_threads()
        self.rank, self.world_size, self._group = _joined(self._device, self.config.peer_timeout)
        self.device = str(self._device)
        self.on_host = self._device.type == "cpu"
        if self.on_host and self.config.keep_freed_memory:
            keep_freed_memory()
        table: Any = TorchOps(self._device, compiled=self.config.compile)  # torch's stubs know no `axis`
        self.ops: Ops = table
        if self.config.deterministic and self._device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch's own demand, read at first use

    def to_device(self, tree: Tree) -> Tree:
        """NumPy arrays as tensors: on the CPU the same memory, unless it is read-only or runs backwards."""
        return map_tree(self._to_tensor, tree)

    def to_numpy(self, tree: Tree) -> Tree:
        """Tensors as NumPy arrays: on the CPU the same memory."""
        return map_tree(_to_array, tree)

    def copy(self, tree: Tree) -> Tree:
        """Tensors in memory of their own."""
        return map_tree(lambda x: x.detach().clone() if isinstance(x, torch.Tensor) else x, tree)

    def rng(self, seed: int) -> torch.Generator:
        """A generator on the device."""
        return torch.Generator(self._device).manual_seed(seed)

    def compile(self, fn: Callable[..., Tree], *, consumes: tuple[int, ...] = (), rows: int = 0) -> Callable[..., Tree]:
        """`fn` with ops bound, outside autograd, under the number of threads that suits `rows`."""
        del consumes  # torch writes in place wherever an op consumes, and needs no permission in advance
        ops, threads, deterministic = self.ops, self._threads(rows), self.config.deterministic

        def call(*arguments: Any) -> Tree:
            with _deterministic() if deterministic else nullcontext(), _threads(threads), torch.no_grad():
                return fn(ops, *arguments)

        return call

    def optimizer(self, config: OptimizerConfig) -> Optimizer:
        """Adam, AdamW or SGD, in place."""
        return (Sgd if config.name == "sgd" else Adam)(self.ops, config)

    def all_reduce(self, tree: Tree, op: Literal["mean", "sum", "max"] = "mean") -> Tree:
        """A tree combined over all ranks, the same bits in each; the tree itself where one process trains."""
        return tree if self._group is None else self._group.all_reduce(self.ops, tree, op)

    def describe(self) -> dict[str, Any]:
        """What decides speed and rounding here."""
        return {
            "engine": "torch",
            "version": torch.__version__,
            "build": f"cuda {torch.version.cuda}" if torch.version.cuda else "cpu",
            "mkl": bool(torch._C.has_mkl),
            "device": self.device,
            "rank": self.rank,
            "world_size": self.world_size,
            "threads": self._threads(FEW_ROWS),
            "threads_few_rows": self._threads(1),
            "compile": self.config.compile,
            "deterministic": self.config.deterministic,
        }

    def _threads(self, rows: int) -> int:
        if self.config.threads != "auto":
            return self.config.threads
        return 1 if 0 < rows < FEW_ROWS else self._all_threads

    def _to_tensor(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return x.to(self._device)
        if hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray | np.generic):
            return torch.utils.dlpack.from_dlpack(x).to(self._device)  # another library's: it need not visit the host
        array = np.asarray(x)
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):
            array = array.copy()
        return torch.from_numpy(array).to(self._device)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)


def _to_array(x: Any) -> np.ndarray:
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def _joined(device: torch.device, timeout: float) -> tuple[int, int, Group | None]:
    """Rank, world size and the group of processes; None where this one trains alone."""
    peers = Peers.launched()
    if peers is None:
        return 0, 1, None
    from puffer_backend_torch.group import Group

    return peers.rank, peers.world_size, Group(peers, device, timeout)


def _find_device(name: str) -> torch.device:
    known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        known.append("mps")
    if name == "auto":
        name = known[1] if "cuda:0" in known else "cpu"
    device = torch.device("cuda:0" if name == "cuda" else name)
    if str(device) not in known:
        raise UsageError(
            f"backend torch: device is {name!r}, but this machine has {', '.join(known)} (torch {torch.__version__})",
            remedy="choose one of these with --backend.device, or install a build of torch for your device",
        )
    return device
