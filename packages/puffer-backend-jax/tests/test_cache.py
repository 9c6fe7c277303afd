"""Compiled programs on disk: for the next process, and for nobody else in this one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from puffer_backend_jax import cache
from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "puffer" / "jax"


def run(**options):
    backend = JaxBackend(JaxConfig(device="cpu", **options))
    return backend.compile(lambda ops, x: ops.tanh(x) * 3.0 + 0.125)(np.ones(7, np.float32))


def test_a_program_is_kept_and_read_by_the_next(kept):
    read = []
    jax.monitoring.register_event_listener(lambda event, **_: read.append(event))
    first = run()
    assert len(list(kept.glob("*-cache"))) == 1
    assert "/jax/compilation_cache/cache_hits" not in read
    np.testing.assert_array_equal(run(), first)
    assert "/jax/compilation_cache/cache_hits" in read


def test_the_option_switches_it_off(kept):
    run(cache=False)
    assert not kept.exists()


def test_programs_of_others_are_not_kept(kept):
    run()
    jax.jit(lambda x: jnp.tanh(x) * 0.0625)(np.ones(7, np.float32))
    assert len(list(kept.glob("*-cache"))) == 1
    assert jax.config.jax_compilation_cache_dir is None


def test_a_directory_that_jax_was_told_of_is_used(kept, tmp_path):
    theirs = str(tmp_path / "theirs")
    cache._use(theirs, 0.0)
    try:
        run()
        assert jax.config.jax_compilation_cache_dir == theirs
    finally:
        cache._use(None, 1.0)
    assert not kept.exists()
    assert list((tmp_path / "theirs").glob("*-cache"))


def test_where_nothing_can_be_kept_it_runs(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert run().shape == (7,)
