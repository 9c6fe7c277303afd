"""Several devices: a minibatch shared out over two gives what one gives. A process of its own has two CPU devices."""

import json
import os
import subprocess
import sys

import pytest

from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig
from puffer_core.errors import UsageError

LEARN = """
import json
import jax
import numpy as np
from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.errors import UsageError

rng = np.random.default_rng(0)
start = {"w": rng.normal(size=(3, 8)).astype(np.float32), "out": rng.normal(size=(8, 1)).astype(np.float32)}
x, order = rng.normal(size=(32, 3)).astype(np.float32), rng.permutation(32).reshape(4, 8)


def learned(devices):
    backend = JaxBackend(JaxConfig(device="cpu", devices=devices, cache=False))
    adam = backend.optimizer(OptimizerConfig())

    def learn(ops, params, state, x, order):
        def loss(params, rows):
            return ops.mean(ops.square(ops.linear(ops.tanh(ops.linear(rows, params["w"])), params["out"]) - 1.0)), ()

        def minibatch(learned, index):
            rows = ops.take(x, ops.spread(index, axis=0), axis=0)
            (value, _), gradients = ops.value_and_grad(loss)(learned[0], rows)
            return adam.apply(*(learned[0], ops.clip_by_global_norm(gradients, 1.0)[0], learned[1]), 0.1), value

        return ops.scan(minibatch, (params, state), order)

    params = backend.copy(backend.to_device(start))
    given = params, adam.init(params), *backend.to_device((x, order))
    compiled = backend.compile(learn, consumes=(0, 1))
    with backend._scope():
        text = jax.jit(lambda *given: learn(backend.ops, *given)).lower(*given).compile().as_text()
    (params, state), values = compiled(*given)
    (params, state), values = compiled(params, state, *given[2:])
    return backend, params, backend.to_numpy((params, values)), text, backend.describe()["devices"]


one, two = learned(1), learned(2)
apart = max(np.abs(one[2][0][name] - two[2][0][name]).max() for name in start)
try:
    two[0].compile(lambda ops, x: ops.spread(x, axis=0))(np.ones(7))
    refused = ""
except UsageError as error:
    refused = f"{error.message} {error.remedy}"
print(json.dumps({
    "apart": float(apart),
    "moved": float(np.abs(one[2][0]["w"] - start["w"]).max()),
    "reduced": ["all-reduce" in each[3] for each in (one, two)],
    "on": [len(each[1]["w"].devices()) for each in (one, two)],
    "described": two[4],
    "refused": refused,
}))
"""


@pytest.fixture(scope="module")
def found():
    environ = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", LEARN], env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_two_learn_what_one_learns(found):
    assert found["moved"] > 0.1
    assert found["apart"] < 1e-5


def test_gradients_meet_in_an_all_reduce(found):
    assert found["reduced"] == [False, True]


def test_parameters_are_on_every_device(found):
    assert found["on"] == [1, 2]
    assert found["described"] == 2


def test_what_cannot_be_shared_out_is_refused_with_the_nearest_sizes(found):
    assert "2 devices cannot share 7 sequences" in found["refused"]
    assert "6 or 8" in found["refused"]


def test_more_devices_than_there_are_are_refused_with_those():
    with pytest.raises(UsageError, match="devices is 99, but from 'cpu' on there are") as caught:
        JaxBackend(JaxConfig(device="cpu", devices=99))
    assert "--backend.devices" in caught.value.remedy
