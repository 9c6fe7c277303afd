"""Taking memory back that was lent to JAX: waiting until every program that reads it has run."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from puffer_backend_jax.cache import compiling

_Form = tuple[tuple[tuple[int, ...], str], ...]


class Lender:
    """Waits for the readers of arrays. One program for each set of shapes, which computes nothing.

    JAX says of an array when it has been computed, never when it has been read. But a program that is given an array
    for good is not begun before all others that read it have run.

    Args:
        cached: keep the programs on disk for the next run.

    Example:
        >>> x = jnp.ones(1000)
        >>> total = jnp.sort(x)  # may still be under way
        >>> Lender(cached=False).take_back([x])
        >>> x.is_deleted(), total.is_ready()
        (True, True)

    """

    def __init__(self, *, cached: bool) -> None:
        self._cached = cached
        self._program = jax.jit(lambda _: jnp.zeros(0), donate_argnums=0, keep_unused=True)
        self._compiled: set[_Form] = set()

    def take_back(self, arrays: Sequence[jax.Array]) -> None:
        """Wait until nothing reads these arrays, and delete them. Those that are deleted are passed over."""
        held = list({id(x): x for x in arrays if not x.is_deleted()}.values())
        form = tuple((x.shape, str(x.dtype)) for x in held)
        if form in self._compiled:
            self._program(held).block_until_ready()
        elif held:
            with compiling(cached=self._cached):
                self._program(held).block_until_ready()
            self._compiled.add(form)
        for x in held:
            x.delete()
