"""The processes that `jax.distributed` joins: by the first backend of a process, until the process ends."""

from __future__ import annotations

import atexit
import threading
from typing import Any

import jax
import numpy as np
from jax._src import distributed  # who is still there has no public name

from puffer_core.arrays import Tree
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import numpy_ops
from puffer_core.peers import Peers, Reduction, reduced

_LEAVING = 60.0
"""Seconds that rank 0 waits for the others when it ends: it serves them, and those that still run end with it."""
_COMBINE: dict[Reduction, Any] = {"mean": np.mean, "sum": np.sum, "max": np.max}


class Group:
    """This process among its peers. Where the program has joined them itself, it stays so.

    Processes on CPUs talk through gloo. JAX sees that one died, not that one hangs: an exchange waits for it. And
    where the others do not come in time, JAX says so and ends the process itself, with SIGABRT.

    Args:
        peers: what the launcher says.
        timeout: seconds to wait for the others when joining.

    Raises:
        ResourceError: the others refuse to be joined.
        UnsupportedError: JAX has computed in this process already, and can join no others any more.
    """

    def __init__(self, peers: Peers, timeout: float) -> None:
        self._peers = peers
        if jax.distributed.is_initialized():
            return
        # Otherwise JAX aborts every process when one has died, before anything can be said about it.
        jax.config.update("jax_enable_recoverability", True)  # type: ignore[no-untyped-call]  # noqa: FBT003
        address = f"{peers.address}:{peers.port}"
        try:
            jax.distributed.initialize(
                address, peers.world_size, peers.rank, initialization_timeout=max(1, round(timeout))
            )
        except jax.errors.JaxRuntimeError as error:
            raise peers.lost("jax", "joining", error) from error
        except RuntimeError as error:
            raise UnsupportedError(
                f"backend jax: rank {peers.rank} of {peers.world_size} cannot join the others: {error}",
                remedy="build the backend before anything else uses JAX in the process",
            ) from error
        if peers.rank == 0:
            atexit.register(_outlive, peers.world_size)  # runs before JAX's own

    def all_reduce(self, tree: Tree, op: Reduction) -> Tree:
        """A tree of NumPy arrays combined over all ranks, the same bits in each; needs room for those of every rank.

        Raises:
            ResourceError: another process ended.
            UnsupportedError: flags, or a mean of integers.
        """
        from jax.experimental import multihost_utils

        def combine(flat: np.ndarray) -> np.ndarray:
            try:
                everyone = multihost_utils.process_allgather(flat)
            except (ValueError, RuntimeError) as error:  # JAX raises either
                atexit.unregister(_outlive)
                raise self._peers.lost("jax", "all_reduce", error) from error
            return np.asarray(_COMBINE[op](everyone, axis=0), flat.dtype)

        return reduced(numpy_ops, tree, op, combine)


def _outlive(world_size: int) -> None:
    client = distributed.global_state.client
    if client is None:
        return
    # Answers when every other process has called it too, or has left; none of them calls it.
    gone = threading.Thread(target=client.get_live_nodes, args=(list(range(world_size)),), daemon=True)
    gone.start()
    gone.join(_LEAVING)
