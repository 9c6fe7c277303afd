"""ObservationBatch: what a slot holds, handed to whichever engine wants it, without a copy where that can be."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from puffer_core.arrays import Tree, map_tree

if TYPE_CHECKING:
    from puffer_core.contracts.backend import Backend


class ObservationBatch(Mapping[str, Tree]):
    """The arrays of a slot by name, wherever they live: on the heap, in shared or pinned memory, on a device.

    A view, never a copy: it is valid until its slot is written again, and shows what is written then. Reading it as a
    mapping gives the arrays as they are. `through` gives them to any library that speaks DLPack, `on` to a `Backend`;
    both keep the address wherever the library can: torch on the CPU always, JAX on the CPU where an array begins on 64
    bytes and has no gaps, which all arrays of `EnvBuffers.allocate` do as a whole, and their slots where a slot is a
    multiple of 64 bytes. What JAX cannot take over it copies.

    Who computes asynchronously must be done before the slot is written: see `Backend`, *Aliasing*.

    Args:
        arrays: name to array, or to a dict of arrays by leaf name; `[rows, ...]`, or with leading axes.

    Example:
        >>> import numpy as np
        >>> slot = ObservationBatch({"observation": np.zeros((2, 3), np.float32)})
        >>> slot["observation"].shape
        (2, 3)
        >>> np.shares_memory(slot.through(np.from_dlpack)["observation"], slot["observation"])
        True
    """

    __slots__ = ("_arrays",)

    def __init__(self, arrays: Mapping[str, Tree]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> Tree:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def items(self) -> ItemsView[str, Tree]:
        """Names and arrays; a policy reads them at every step, so no generic view stands between."""
        return self._arrays.items()

    def through(self, from_dlpack: Callable[[Any], Any]) -> dict[str, Tree]:
        """The arrays as another library's: `slot.through(torch.from_dlpack)`, `slot.through(jax.numpy.from_dlpack)`.

        Raises:
            Exception: the library's own, where it cannot reach the device that an array lives on.
        """
        arrays: dict[str, Tree] = map_tree(from_dlpack, self._arrays)
        return arrays

    def on(self, backend: Backend) -> dict[str, Tree]:
        """The arrays as the engine's, on its device.

        Example:
            >>> import numpy as np
            >>> from puffer_core.numpy_backend import NumpyBackend
            >>> ObservationBatch({"observation": np.zeros(2)}).on(NumpyBackend())
            {'observation': array([0., 0.])}
        """
        arrays: dict[str, Tree] = backend.to_device(self._arrays)
        return arrays
