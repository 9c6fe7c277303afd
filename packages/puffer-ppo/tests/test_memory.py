"""PPO with a policy that remembers: a row's rollout is a sequence, unrolled from the memory it began with."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import gymnasium
import numpy as np
import pytest

from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core.config import resolve
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.policy import Policy, PolicyInterface
from puffer_core.errors import UsageError
from puffer_core.numpy_backend import numpy_ops
from puffer_core.plugins import PluginHost
from puffer_core.run.context import RunContext
from puffer_core.spaces.layout import Layout
from puffer_ppo.config import PpoConfig
from puffer_ppo.update import update

STEPS, ROWS = 5, 4


class Sum:
    """Remembers the sum of its observations since the episode began; logits and value are linear in it."""

    def __init__(self, dtype: type = np.float64) -> None:
        self.dtype = dtype
        box, choice = gymnasium.spaces.Box(-1, 1, (1,)), gymnasium.spaces.Discrete(2)
        self.interface = PolicyInterface(observation=Layout.of(box), action=Layout.of(choice))
        self.inputs = frozenset({"observation"})

    def init(self, rng):
        shapes = {"logits": (1, 2), "value": (1, 1)}
        return {name: rng.normal(size=shape).astype(self.dtype) for name, shape in shapes.items()}

    def initial_carry(self, rows):
        return {"total": np.zeros((rows, 1), self.dtype)}

    def update_stats(self, ops, params, inputs, weight):
        return params

    def apply(self, ops, params, inputs, carry, reset, rng):
        keep = ops.astype(ops.logical_not(reset), inputs["observation"].dtype)[:, :, None]
        total = ops.linear_recurrence(keep, inputs["observation"], carry["total"])
        outputs = {"logits": ops.linear(total, params["logits"]), "value": ops.linear(total, params["value"])[:, :, 0]}
        return outputs, {"total": total[-1]}


class Bare(Sum):
    """The same, its memory one array."""

    def initial_carry(self, rows):
        return super().initial_carry(rows)["total"]

    def apply(self, ops, params, inputs, carry, reset, rng):
        outputs, carry = super().apply(ops, params, inputs, {"total": carry}, reset, rng)
        return outputs, carry["total"]


@pytest.fixture
def rollout():
    """What `Sum` itself would have collected, so that the first ratio of every transition is 1."""
    rng, policy = np.random.default_rng(0), Sum()
    reset = rng.random((STEPS + 1, ROWS)) < 0.3
    observation = rng.normal(size=(STEPS + 1, ROWS, 1))
    carry = {"total": rng.normal(size=(ROWS, 1))}
    params = policy.init(np.random.default_rng(1))
    outputs, _ = policy.apply(numpy_ops, params, {"observation": observation}, carry, reset, None)
    log_probs = numpy_ops.log_softmax(outputs["logits"], axis=-1)
    action = rng.integers(0, 2, (STEPS, ROWS))
    return params, {
        "inputs": {"observation": observation},
        "reset": reset,
        "carry": carry,
        "action": action,
        "outputs": {"value": outputs["value"][:-1]},
        "log_prob": np.take_along_axis(log_probs[:-1], action[..., None], axis=-1)[..., 0],
        "last_outputs": {"value": outputs["value"][-1]},
        "final_outputs": {"value": np.zeros((STEPS, ROWS))},
        "reward": rng.normal(size=(STEPS, ROWS)),
        "terminated": reset[1:],
        "truncated": np.zeros((STEPS, ROWS), bool),
        "active": np.ones((STEPS, ROWS), bool),
    }


def learn(params, rollout, config: PpoConfig, learning_rate: float, policy: Policy | None = None):
    backend = TorchBackend(TorchConfig(device="cpu", threads=1))
    rule = backend.optimizer(OptimizerConfig(name="sgd"))
    step = backend.compile(partial(update, policy=policy or Sum(), config=config, optimizer=rule))
    given = backend.copy(backend.to_device(params))
    order = np.arange(ROWS).reshape(1, config.minibatches, -1).repeat(config.epochs, axis=0)
    data, running, index = backend.to_device((rollout, np.zeros(ROWS), order))
    return backend.to_numpy(step(given, rule.init(given), running, data, index, learning_rate))


def test_unrolling_meets_the_probabilities_that_acted(rollout):
    params, data = rollout
    _, _, _, metrics = learn(params, data, PpoConfig(epochs=1, minibatches=1), learning_rate=0.0)
    assert metrics["policy/kl"] == pytest.approx(0.0, abs=1e-12)
    assert metrics["policy/clip_fraction"] == 0.0


def test_the_order_of_rows_does_not_matter_within_a_minibatch(rollout):
    params, data = rollout
    config = PpoConfig(epochs=1, minibatches=1)
    expected = learn(params, data, config, learning_rate=0.1)[0]
    swap = [2, 0, 3, 1]
    moved = {
        name: {key: value[swap] for key, value in part.items()} if name in ("carry", "last_outputs")
        else {key: value[:, swap] for key, value in part.items()} if isinstance(part, dict)
        else part[:, swap]
        for name, part in data.items()
    }  # fmt: skip
    found = learn(params, moved, config, learning_rate=0.1)[0]
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12)
        assert (value != params[name]).any()


def test_a_memory_of_one_array_is_unrolled_too(rollout):
    params, data = rollout
    config = PpoConfig(epochs=1, minibatches=2)
    expected = learn(params, data, config, learning_rate=0.1)[0]
    found = learn(params, data | {"carry": data["carry"]["total"]}, config, learning_rate=0.1, policy=Bare())[0]
    assert all((found[name] == value).all() for name, value in expected.items())


class BareRun(RunContext):
    def policy(self, *, outputs: frozenset[str]) -> Policy:
        return Bare(np.float32)


@pytest.mark.parametrize("minibatches", [2, 5])
def test_rows_are_shared_out_where_the_memory_is_one_array(minibatches):
    host = PluginHost.discover()
    options = {"horizon": 8, "minibatches": minibatches, "vector": {"num_envs": 4}, "backend": {"name": "torch"}}
    plan = resolve(host, "ppo", "probe-action-reward", overrides=options, environ={})
    with closing(BareRun(plan, host)) as context:
        if minibatches <= 4:
            assert np.isfinite(context.trainer().update()["loss/total"])
            return
        with pytest.raises(UsageError, match="has 4 rows, which a memory keeps whole"):
            context.trainer()
