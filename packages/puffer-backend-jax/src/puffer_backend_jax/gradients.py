"""Gradients of losses, and their clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from puffer_core.arrays import Params, Tree, is_trainable


def value_and_grad(
    loss: Callable[..., tuple[jax.Array, Tree]], /
) -> Callable[..., tuple[tuple[jax.Array, Tree], Params]]:
    """The loss with its gradients by name.

    Example:
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


def clip_by_global_norm(gradients: Params, limit: float, /) -> tuple[Params, jax.Array]:
    """Gradients scaled so that their joint norm is at most `limit`, and the norm before.

    Example:
        >>> clipped, norm = clip_by_global_norm({"w": jnp.array([3.0, 4.0])}, 2.5)
        >>> clipped["w"].tolist(), norm.tolist()
        ([1.5, 2.0], 5.0)

    """
    flat = jnp.concat([jnp.ravel(gradients[name]) for name in sorted(gradients)])  # one sum is soon compiled
    norm = jnp.sqrt(jnp.sum(jnp.square(flat)))
    scale = limit / jnp.maximum(norm, limit)
    return {name: gradient * scale for name, gradient in gradients.items()}, norm
