"""Anonymous shared memory: arrays that other processes map too, and that no name in any file system leads to.

On Linux it is a `memfd`; elsewhere a temporary file that is unlinked at once, which is as safe and, where it lies on
a disk, a little slower. Either is freed when the last process that maps it is gone, however it went.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from puffer_core.errors import ResourceError


class Region(NamedTuple):
    """Where an array lies: descriptor and size of the shared memory, and the offset of its first element in it."""

    fd: int
    size: int
    offset: int


class _Mapping(mmap.mmap):
    """A mapping that keeps the descriptor that others map it by; both go when the last array goes."""

    fd = -1

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def anonymous_file() -> int:
    """The descriptor of an empty file without a name; it is closed in programs that this process starts.

    Raises:
        ResourceError: there can be none, such as when too many files are open.
    """
    with suppress(AttributeError, OSError):  # not every system has it, and not every sandbox allows it
        return os.memfd_create("puffer")
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise ResourceError(f"there is no shared memory to be had: {error}") from error


def shared_zeros(shape: tuple[int, ...], dtype: np.dtype[Any] | type) -> np.ndarray[Any, Any]:
    """Like `np.zeros`, in shared memory of its own, which is freed with the array and its views.

    Raises:
        ResourceError: there is none, such as when too many files are open.

    Example:
        >>> array = shared_zeros((2, 3), np.dtype(np.float32))
        >>> array.sum(), locate(array).size
        (np.float32(0.0), 24)
    """
    dtype = np.dtype(dtype)
    size = max(1, math.prod(shape) * dtype.itemsize)
    fd = anonymous_file()
    try:
        os.ftruncate(fd, size)
        mapping = _Mapping(fd, size)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise ResourceError(f"{size:,} bytes of shared memory are not to be had: {error}") from error
        raise
    mapping.fd = fd
    return np.ndarray(shape, dtype, buffer=mapping)


def locate(array: np.ndarray[Any, Any]) -> Region | None:
    """Where an array or view lies in shared memory; None if it was not made by `shared_zeros`.

    Example:
        >>> array = shared_zeros((4,), np.dtype(np.int64))
        >>> locate(array[1:]).offset, locate(np.zeros(4))
        (8, None)
    """
    root: Any = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not isinstance(root.base, _Mapping):
        return None
    return Region(root.base.fd, len(root.base), array.ctypes.data - root.ctypes.data)


def describe(arrays: Mapping[str, np.ndarray[Any, Any]]) -> tuple[list[int], dict[str, Any]]:
    """Arrays in shared memory as descriptors and JSON values, from which `attach` makes them in another process.

    Raises:
        ValueError: one of them is not in shared memory.
    """
    fds: list[int] = []
    forms: dict[str, Any] = {}
    for name, array in arrays.items():
        region = locate(array)
        if region is None:
            raise ValueError(f"{name} is not in shared memory")
        if region.fd not in fds:
            fds.append(region.fd)
        forms[name] = {
            "file": fds.index(region.fd),
            "size": region.size,
            "offset": region.offset,
            "shape": array.shape,
            "strides": array.strides,
            "dtype": array.dtype.str,
        }
    return fds, forms


def attach(fds: Sequence[int], forms: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays that `describe` described, over the same memory. The descriptors are used up.

    Example:
        >>> array = shared_zeros((2, 3), np.dtype(np.int8))
        >>> fds, forms = describe({"column": array[:, 1]})
        >>> attach([os.dup(fd) for fd in fds], forms)["column"][:] = 7
        >>> array.tolist()
        [[0, 7, 0], [0, 7, 0]]
    """
    sizes = {form["file"]: form["size"] for form in forms.values()}
    mappings = {}
    for file, fd in enumerate(fds):
        try:
            mappings[file] = mmap.mmap(fd, sizes[file])
        finally:
            os.close(fd)
    return {name: _view(mappings[form["file"]], form) for name, form in forms.items()}


def _view(mapping: mmap.mmap, form: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    shape, strides = tuple(form["shape"]), tuple(form["strides"])
    return np.ndarray(shape, np.dtype(form["dtype"]), buffer=mapping, offset=form["offset"], strides=strides)
