"""Recurrences and control flow, where JAX is stricter than other engines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from puffer_backend_jax import sequences


@pytest.mark.parametrize("reverse", [False, True])
def test_both_recurrences_agree_in_value_and_gradient(reverse):
    generator = np.random.default_rng(0)
    given = [generator.uniform(0, 1, shape).astype(np.float32) for shape in ((9, 3), (9, 3), (3,))]

    def total(fn, *given):
        return jnp.sum(jnp.sin(fn(*given, reverse=reverse)))

    both = (sequences.linear_recurrence, sequences.parallel_linear_recurrence)
    walked, joined = (jax.jit(jax.value_and_grad(lambda *g, fn=fn: total(fn, *g), (0, 1, 2)))(*given) for fn in both)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), walked, joined)


def test_a_state_that_grows_wider_at_the_first_turn_is_widened():
    with jax.enable_x64(new_val=True):
        wide, narrow = jnp.ones(2), jnp.zeros(2, jnp.float32)
        number, grown = sequences.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + wide), (0, narrow))
        assert (number, grown.dtype) == (3, np.float64)
        last, seen = sequences.scan(lambda c, x: (c + x, c), narrow, jnp.ones((3, 2)))
        assert last.dtype == seen.dtype == np.float64
        assert seen[:, 0].tolist() == [0, 1, 2]


def test_a_state_that_changes_its_shape_is_refused():
    with pytest.raises(TypeError, match="carry"):
        sequences.while_loop(lambda s: s.sum() < 3, lambda s: jnp.concatenate([s, s]), jnp.ones(2))
