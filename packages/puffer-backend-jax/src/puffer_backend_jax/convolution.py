"""Convolutions in JAX, and their gradients in the form that XLA computes fast on a CPU."""

from __future__ import annotations

from functools import partial

import jax
from jax import Array, lax
from jaxtyping import Float

_convolve = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
"""On a CPU, XLA has a fast kernel for this order of axes alone."""


def conv2d(
    x: Float[Array, "batch height width channels"],
    weight: Float[Array, "kernel_height kernel_width channels filters"],
    bias: Float[Array, " filters"],
    /,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Array, "batch out_height out_width filters"]:
    """Cross-correlation; the gradients are JAX's own, which suit an accelerator."""
    return _correlate(stride, padding, x, weight) + bias


def conv2d_on_host(
    x: Float[Array, "batch height width channels"],
    weight: Float[Array, "kernel_height kernel_width channels filters"],
    bias: Float[Array, " filters"],
    /,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Array, "batch out_height out_width filters"]:
    """Cross-correlation whose gradients are convolutions of the same layout.

    JAX's own have the axes in another order, which XLA mends on a CPU, but not inside of a loop, where minibatches are:
    there it writes out loops over single numbers, 30 times as slow.
    """
    return _correlate_on_host(stride, padding, x, weight) + bias


def _correlate(stride: int, padding: int, x: Array, weight: Array) -> Array:
    return _convolve(x, weight, (stride, stride), [(padding, padding)] * 2)


_correlate_on_host = jax.custom_vjp(_correlate, nondiff_argnums=(0, 1))


def _with_inputs(stride: int, padding: int, x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return _correlate(stride, padding, x, weight), (x, weight)


def _gradients(stride: int, padding: int, inputs: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Of the images: the gradient with zeros in between under the turned kernel. Of the kernel: images under it."""
    x, weight = inputs
    edges = list(zip(x.shape[1:3], weight.shape[:2], gradient.shape[1:3], strict=True))
    spans = [(image, kernel, stride * (out - 1) + 1) for image, kernel, out in edges]
    of_images = _convolve(
        gradient,
        weight[::-1, ::-1].transpose(0, 1, 3, 2),
        (1, 1),
        [(kernel - 1 - padding, image + padding - span) for image, kernel, span in spans],
        lhs_dilation=(stride, stride),
    )
    of_kernel = _convolve(
        x.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        (1, 1),
        [(padding, span + kernel - 1 - image - padding) for image, kernel, span in spans],
        rhs_dilation=(stride, stride),
    )
    return of_images, of_kernel.transpose(1, 2, 0, 3)


_correlate_on_host.defvjp(_with_inputs, _gradients)
