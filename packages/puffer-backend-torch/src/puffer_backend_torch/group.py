"""The process group of `torch.distributed`: joined by the first backend of a process, ended with the process."""

from __future__ import annotations

import atexit
from datetime import timedelta

import torch
import torch.distributed as dist

from puffer_core.arrays import Tree
from puffer_core.contracts.ops import Ops
from puffer_core.errors import UnsupportedError
from puffer_core.peers import Peers, Reduction, reduced

_OPS = {"mean": dist.ReduceOp.SUM, "sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}


class Group:
    """This process among its peers. Where the program has joined a group itself, that one is used, and left to it.

    Args:
        peers: what the launcher says.
        device: where arrays live: on the CPU processes talk through gloo, on CUDA through NCCL.
        timeout: seconds to wait for the others, when joining and in every exchange.

    Raises:
        ResourceError: the others did not come in time.
        UnsupportedError: a build of torch without `torch.distributed`.
    """

    def __init__(self, peers: Peers, device: torch.device, timeout: float) -> None:
        self._peers = peers
        if not dist.is_available():
            raise UnsupportedError(
                "backend torch: this build of torch has no torch.distributed", remedy="install another"
            )
        if dist.is_initialized():
            return
        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=timeout))
        except (RuntimeError, ValueError) as error:
            raise peers.lost("torch", "joining", error) from error
        atexit.register(_leave)

    def all_reduce(self, ops: Ops, tree: Tree, op: Reduction) -> Tree:
        """A tree combined over all ranks, the same bits in each.

        Raises:
            ResourceError: another process ended, or did not answer in time.
            UnsupportedError: flags, or a mean of integers.
        """

        def combine(flat: torch.Tensor) -> torch.Tensor:
            flat = flat.detach()
            try:
                dist.all_reduce(flat, _OPS[op])
            except RuntimeError as error:
                raise self._peers.lost("torch", "all_reduce", error) from error
            return flat / self._peers.world_size if op == "mean" else flat

        return reduced(ops, tree, op, combine)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
