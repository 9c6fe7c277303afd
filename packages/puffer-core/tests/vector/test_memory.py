"""Shared memory without a name."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

from puffer_core.errors import ResourceError
from puffer_core.vector import memory
from puffer_core.vector.memory import attach, describe, locate, shared_zeros
from puffer_testing.processes import open_files


def attached(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    fds, forms = describe(arrays)
    return attach([os.dup(fd) for fd in fds], forms)


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (4, 5, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.bool_])
def test_views_of_every_form_are_found_again(shape: tuple[int, ...], dtype: type) -> None:
    array = shared_zeros(shape, np.dtype(dtype))
    assert (array.shape, array.dtype) == (shape, dtype)
    assert not array.any()
    array[...] = np.arange(array.size).reshape(shape) % 2
    assert np.array_equal(attached({"it": array})["it"], array)


def test_columns_and_slices_lie_over_the_same_memory() -> None:
    array = shared_zeros((4, 6), np.dtype(np.int16))
    views = {"column": array[:, 2:4], "back": array[::-1, 5], "byte": array[1:].view(np.uint8)[0]}
    there = attached(views)
    there["column"][...] = 7
    there["back"][0] = 9
    assert array[:, 2:4].min() == 7
    assert array[3, 5] == 9
    assert len(describe(views)[0]) == 1, "one file, however many views"


def test_other_arrays_are_not_in_shared_memory() -> None:
    assert locate(np.zeros(3)) is None
    assert locate(shared_zeros((3,), np.dtype(np.int8)).copy()) is None
    with pytest.raises(ValueError, match="it is not in shared memory"):
        describe({"it": np.zeros(3)})


def test_memory_and_files_are_freed_with_the_last_view() -> None:
    gc.collect()
    before = open_files()
    view = shared_zeros((10,), np.dtype(np.int8))[3:]
    assert open_files() > before
    del view
    assert open_files() == before


@pytest.mark.parametrize("is_there", [True, False])
def test_where_there_is_no_memfd_a_file_without_a_name_serves(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    if is_there:
        monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    array = shared_zeros((3,), np.dtype(np.int8))
    attached({"it": array})["it"][1] = 5
    assert array.tolist() == [0, 5, 0]


def refused(name: str) -> int:
    """As sandboxes answer."""
    raise PermissionError(1, "Operation not permitted")


def test_what_cannot_be_had_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory.os, "ftruncate", full)
    before = open_files()
    with pytest.raises(ResourceError, match=r"3 bytes of shared memory are not to be had: .*No space"):
        shared_zeros((3,), np.dtype(np.int8))
    assert open_files() == before
