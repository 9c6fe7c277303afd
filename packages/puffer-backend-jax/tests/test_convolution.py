"""Gradients of convolutions that are ours, against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from puffer_backend_jax.convolution import conv2d, conv2d_on_host

SHAPES = {
    "windows-meet": ((2, 8, 8, 4), (4, 4, 4, 3), 4, 0),
    "pixels-left-over": ((2, 9, 8, 1), (3, 2, 1, 2), 3, 0),
    "border": ((2, 5, 6, 3), (3, 3, 3, 2), 2, 1),
    "border-wider-than-the-kernel": ((1, 3, 3, 2), (2, 1, 2, 3), 2, 3),
    "one-pixel": ((3, 1, 1, 2), (3, 3, 2, 2), 2, 1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_those_of_jax(name):
    images, kernel, stride, padding = SHAPES[name]
    generator = np.random.default_rng(0)
    given = [generator.normal(size=shape) for shape in (images, kernel, kernel[-1:])]

    def total(fn, *given):
        return jnp.sum(jnp.sin(fn(*given, stride=stride, padding=padding)))

    with jax.enable_x64(new_val=True):
        ours, theirs = (
            jax.jit(jax.value_and_grad(lambda *given, fn=fn: total(fn, *given), (0, 1, 2)))(*given)
            for fn in (conv2d_on_host, conv2d)
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), ours, theirs)
