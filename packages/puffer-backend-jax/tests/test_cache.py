"""Compiled programs on disk: for the next process, and for nobody else in this one."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from puffer_backend_jax import cache
from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig
from puffer_core.errors import PufferWarning


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


@pytest.fixture
def untold(monkeypatch):
    monkeypatch.setattr(cache, "_told", set())


def kept_then_run_without_rights(kept):
    """As a user who may write nowhere; root may, unless it gives that up."""
    program = (
        "import numpy as np; from puffer_backend_jax.backend import JaxBackend; backend = JaxBackend();"
        "[backend.compile(lambda ops, x: x * k + 0.125)(np.ones(7, np.float32)) for k in (2.0, 3.0)]"
    )
    kept.mkdir(parents=True)
    kept.chmod(0o555)
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return subprocess.run([*powerless, sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_a_directory_that_is_nobody_s_to_write_is_told_of_once(kept):
    ran = kept_then_run_without_rights(kept)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("compiled programs cannot be kept") == 1
    assert "Permission denied" in ran.stderr
    assert "persistent compilation cache" not in ran.stderr


def test_a_program_that_was_half_written_is_replaced_without_a_word(kept):
    first = run()
    for program in kept.glob("*-cache"):
        program.write_bytes(program.read_bytes()[:100])
    np.testing.assert_array_equal(run(), first)
    assert [program.stat().st_size > 100 for program in kept.glob("*-cache")] == [True]


@pytest.mark.usefixtures("untold")
def test_where_nothing_can_be_kept_it_runs(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(PufferWarning, match="cannot be kept"):
        assert run().shape == (7,)


@pytest.mark.usefixtures("untold")
def test_without_a_home_it_runs(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", homeless)
    with pytest.warns(PufferWarning, match="home directory"):
        assert run().shape == (7,)
