"""The JAX backend against the contract, and what is JAX's own."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.errors import UsageError
from puffer_testing.backend import BackendConformance


@pytest.mark.usefixtures("compiled_fast")
class TestJax(BackendConformance):
    name = "jax"
    options = {"device": "cpu", "cache": False}


@pytest.fixture(scope="module")
def backend():
    return JaxBackend(JaxConfig(device="cpu", cache=False))


def aligned(count, value=0.0):
    """float32 numbers where JAX takes over NumPy's memory."""
    room = np.full(count + 16, value, np.float32)
    start = -(room.ctypes.data // 4) % 16
    return room[start : start + count]


# --- memory


def test_numpy_reads_what_jax_learned_without_a_copy(backend):
    array = jnp.ones(64)
    assert backend.to_numpy(array).ctypes.data == array.unsafe_buffer_pointer()
    assert not backend.to_numpy(array).flags.writeable


def test_no_consumer_sees_a_slot_rewritten_under_it(backend):
    def slow(ops, x):
        rows = ops.broadcast_to(x, (256, x.shape[0]))
        return ops.sum(rows @ rows.T @ rows @ rows.T) * 0.0 + ops.sum(x), x

    compiled = backend.compile(slow)
    slot = aligned(1 << 15, 1.0)
    for value in (1.0, 2.0, 3.0):
        slot[...] = value
        on_device = backend.to_device(slot)
        assert np.shares_memory(slot, backend.to_numpy(on_device))
        total, _ = compiled(on_device)
        slot[...] = np.nan  # what the next rollout does, once the call has returned
        assert backend.to_numpy(total) == value * len(slot)


def test_a_result_that_is_passed_through_is_given_when_the_program_has_run(backend):
    def slow(ops, x, through):
        return ops.while_loop(lambda s: s[0] < 300, lambda s: (s[0] + 1, s[1] @ s[1] * 0.0 + 1.0), (0, x))[1], through

    compiled = backend.compile(slow)
    big, through = compiled(*backend.to_device((np.ones((256, 256), np.float32), aligned(64))))
    backend.to_numpy(through)
    assert big.is_ready()


def test_a_consumed_slot_is_not_written_into(backend):
    slot = aligned(64, 1.0)
    added = backend.compile(lambda ops, x: x + 1.0, consumes=(0,))
    for _ in range(2):
        assert backend.to_numpy(added(backend.to_device(slot)))[0] == 2.0
    assert (slot == 1.0).all()


def test_what_numpy_reads_outlives_that_it_is_consumed(backend):
    added = backend.compile(lambda ops, x: x + 1.0, consumes=(0,))
    params = added(backend.to_device(np.zeros(64, np.float32)))
    read = backend.to_numpy(params)
    assert backend.to_numpy(added(params))[0] == 2.0
    assert (read == 1.0).all()


def test_consumed_memory_is_used_again(backend):
    added = backend.compile(lambda ops, x: x + 1.0, consumes=(0,))
    params = added(backend.to_device(np.zeros(64, np.float32)))
    address = params.unsafe_buffer_pointer()
    assert added(params).unsafe_buffer_pointer() == address
    assert params.is_deleted()


def test_consuming_what_no_result_can_use_is_silent(backend):
    total = backend.compile(lambda ops, x: ops.sum(x), consumes=(0,))
    assert backend.to_numpy(total(backend.to_device(np.ones(3, np.float32)))) == 3.0


# --- compiled functions


def test_numbers_are_arguments_and_results_come_back_without_a_retrace(backend):
    traces = []
    adam = backend.optimizer(OptimizerConfig())

    def learn(ops, params, state, rate):
        traces.append(rate)
        gradients = ops.value_and_grad(lambda p: (ops.sum(ops.square(p["w"])), ()))(params)[1]
        return adam.apply(params, gradients, state, rate)

    compiled = backend.compile(learn, consumes=(0, 1))
    params = backend.to_device({"w": np.ones(3, np.float32), "stats.n": np.zeros((), np.float32)})
    state = adam.init(params)
    for update in range(4):
        params, state = compiled(params, state, 0.1 / (1 + update))
    assert len(traces) == 1
    np.testing.assert_allclose(backend.to_numpy(params["w"]), 1 - 0.1 * (1 + 1 / 2 + 1 / 3 + 1 / 4), rtol=0.02)


def test_an_error_while_tracing_leaves_jax_as_it_was(backend):
    def fail(ops, x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backend.compile(fail)(1.0)
    assert not jax.config.jax_enable_x64


def test_other_users_of_jax_stay_in_32_bits(backend):
    wide = backend.to_device({"f": np.ones(2), "i": np.ones(2, np.int64)})
    assert {x.dtype.name for x in backend.compile(lambda ops, tree: tree)(wide).values()} == {"float64", "int64"}
    backend.rng(2**62)
    assert jnp.asarray(np.ones(2)).dtype == np.float32
    assert jax.config.jax_default_device is None


def test_seeds_differ_in_their_upper_half(backend):
    first, second = (backend.to_numpy(backend.ops.uniform(backend.rng(seed), (4,))) for seed in (5, 5 + 2**32))
    assert (first != second).all()
    np.testing.assert_array_equal(first, jax.random.uniform(jax.random.key(5), (4,)))


# --- devices


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "cpu:7"])
def test_an_unknown_device_is_refused_with_those_that_exist(device):
    with pytest.raises(UsageError, match=f"device is '{device}'.*has cpu") as caught:
        JaxBackend(JaxConfig(device=device))
    assert "--backend.device" in caught.value.remedy


def test_auto_takes_what_jax_prefers():
    assert JaxBackend().on_host == (jax.devices()[0].platform == "cpu")


def test_describe_says_what_decides_speed_and_rounding(backend):
    described = json.loads(json.dumps(backend.describe()))
    assert (described["version"], described["device"], described["deterministic"]) == (jax.__version__, "cpu", True)
