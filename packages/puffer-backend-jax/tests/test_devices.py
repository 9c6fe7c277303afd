"""Several devices share rows and minibatches, and give what one gives. A process of its own has two CPU devices."""

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
from functools import partial
import jax
import numpy as np
from puffer_backend_jax.backend import JaxBackend
from puffer_backend_jax.config import JaxConfig
from puffer_core.arrays import named_leaves
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.collection.device import DeviceCollector
from puffer_core.collection.device_rollout import collect
from puffer_core.errors import UsageError
from puffer_testing.components import build
from puffer_testing.device_walk import DeviceWalk

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


def collected(devices):
    backend = JaxBackend(JaxConfig(device="cpu", devices=devices, cache=False))
    env = DeviceWalk(6, length=4, limit=5, scattered=True)
    policy = build("policy", "lstm", {}, PolicyInterface(observation=env.spec.observation, action=env.spec.action))
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    rng = np.random.default_rng(0)
    collector = DeviceCollector(env, policy, backend=backend, horizon=7, seed=7, rng=rng)
    rollouts = tuple(backend.to_numpy(collector.collect(params)) for _ in range(3))
    given = params, collector._state, backend.to_device(np.asarray(1)), backend.rng(0)
    program = partial(collect, backend.ops, env=env, policy=policy, horizon=7)
    with backend._scope():
        reward = jax.jit(program)(*given)[0]["reward"]
    return rollouts, [part.data.shape for part in reward.addressable_shards]


def apart(trees):
    pairs = zip(*(dict(named_leaves(tree)).values() for tree in trees), strict=True)
    return max(float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max()) for a, b in pairs)


one, two = learned(1), learned(2)
alone, together = collected(1), collected(2)
try:
    two[0].compile(lambda ops, x: ops.spread(x, axis=0))(np.ones(7))
    refused = ""
except UsageError as error:
    refused = f"{error.message} {error.remedy}"
print(json.dumps({
    "apart": apart([one[2][0], two[2][0]]),
    "collected apart": apart([alone[0], together[0]]),
    "rows of each": [alone[1], together[1]],
    "acted": np.unique(alone[0][-1]["action"]).tolist(),
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


def test_each_collects_from_its_share_of_the_rows_what_one_collects(found):
    assert found["acted"] == [0, 1]
    assert found["collected apart"] < 1e-5
    assert found["rows of each"] == [[[7, 6]], [[7, 3], [7, 3]]]


def test_parameters_are_on_every_device(found):
    assert found["on"] == [1, 2]
    assert found["described"] == 2


def test_what_cannot_be_shared_out_is_refused_with_the_nearest_sizes(found):
    assert "2 devices cannot share 7 rows or sequences" in found["refused"]
    assert "6 or 8" in found["refused"]


def test_more_devices_than_there_are_are_refused_with_those():
    with pytest.raises(UsageError, match="devices is 99, but from 'cpu' on there are") as caught:
        JaxBackend(JaxConfig(device="cpu", devices=99))
    assert "--backend.devices" in caught.value.remedy


def test_a_platform_that_is_not_here_is_told():
    """JAX reads them once a process, so it is one of its own."""
    program = "from puffer_backend_jax.backend import JaxBackend; JaxBackend()"
    known = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env = known | {"JAX_PLATFORMS": "cuda"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert "UsageError: backend jax: JAX finds no device where JAX_PLATFORMS is 'cuda'" in done.stderr
    assert done.stderr.strip().endswith(
        "unset JAX_PLATFORMS to take what there is, or install the build of JAX for "
        'your device: pip install "jax[cuda13]" for NVIDIA'
    )
