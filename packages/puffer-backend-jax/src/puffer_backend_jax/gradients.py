"""Gradients of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from puffer_core.arrays import Params, Tree, is_trainable


def value_and_grad(
    loss: Callable[..., tuple[jax.Array, Tree]], /
) -> Callable[..., tuple[tuple[jax.Array, Tree], Params]]:
    """The loss with its gradients by name.

    Example:
        >>> import jax.numpy as jnp
        >>> gradient = value_and_grad(lambda params: (jnp.sum(params["w"] ** 2), ()))
        >>> (value, _), gradients = gradient({"w": jnp.array([1.0, 2.0]), "stats.count": jnp.zeros(())})
        >>> value.tolist(), gradients["w"].tolist()
        (5.0, [2.0, 4.0])

    """

    def differentiated(params: Params, *rest: Any) -> tuple[tuple[jax.Array, Tree], Params]:
        learned = {name: params[name] for name in sorted(params) if is_trainable(name)}

        def of_learned(learned: Params) -> tuple[jax.Array, Tree]:
            return loss({name: learned.get(name, params[name]) for name in sorted(params)}, *rest)

        found: tuple[tuple[jax.Array, Tree], Params] = jax.value_and_grad(of_learned, has_aux=True)(learned)
        return found

    return differentiated
