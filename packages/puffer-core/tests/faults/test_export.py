"""Export: NumPy's numbers at every batch, its actions in a loop, a symbolic batch or no file, and the culprit."""

import time

import gymnasium
import numpy as np
import pytest

from puffer_core import Agent, Layout, PolicyInterface
from puffer_core.arrays import map_tree
from puffer_core.collection.acting import Actor
from puffer_core.collection.policy_inputs import PolicyInputs
from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.run.context import make_env
from puffer_testing.components import build

pytest.importorskip("puffer_backend_onnx")
spaces = gymnasium.spaces

BATCHES = (1, 2, 3, 7, 64)
IMAGE = spaces.Box(0, 255, (12, 12, 3), np.uint8)
POLICIES = {
    "mlp": {"hidden_sizes": (8,), "normalize_observation": True},
    "cnn": {"layer_sizes": (8,)},
    "lstm": {"hidden_size": 8, "normalize_observation": True},
    "gru": {"hidden_size": 8},
    "mingru": {"hidden_size": 8},
}
ACTIONS = {
    "discrete": spaces.Discrete(3, start=-1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "box": spaces.Box(np.array([-2, -np.inf], np.float32), np.array([2, 1], np.float32)),
    "dict": spaces.Dict(gear=spaces.Discrete(4), arm=spaces.Tuple([spaces.Box(0, 1, ()), spaces.MultiBinary(2)])),
}
DICT = spaces.Dict(image=IMAGE, speed=spaces.Box(-np.inf, np.inf, (2,)), gear=spaces.Discrete(3))


def an_agent(name, action, observation=DICT):
    """A policy whose actor is sure of itself, as a trained one is."""
    interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action))
    policy = build("policy", name, POLICIES[name], interface)
    rng = np.random.default_rng(0)
    params = policy.init(rng)
    heads = {key: x * 30 for key, x in params.items() if key.startswith("actor.") and key.endswith(".weight")}
    return Agent(policy, params | heads)


def exported(made, path, *, mask=False):
    backend = build("backend", "onnx", {})
    return backend.export(made, path, reference=NumpyBackend(), action_mask=mask, words={})


@pytest.mark.faults
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("name", POLICIES)
def test_e1_every_policy_at_every_batch_is_within_1e_5_of_numpy(name, action, tmp_path, injecting):
    with injecting("E1", "a policy, exported, at a batch of 1, 2, 3, 7 and 64", "ONNX Runtime within 1e-5") as row:
        began = time.monotonic()
        done = exported(an_agent(name, action), tmp_path / "p.onnx", mask=Layout.of(action).mask_size > 0)
        assert done["difference"] <= 1e-5
        assert done["batches"] == list(BATCHES)
        for _ in BATCHES:
            row.took(time.monotonic() - began)


@pytest.mark.parametrize(
    ("name", "steps"),
    [("lstm", 60), *(pytest.param(name, 1000, marks=pytest.mark.faults) for name in POLICIES if name != "cnn")],
)
def test_e2_a_closed_loop_decides_the_same(name, steps, tmp_path, injecting):
    host = PluginHost.discover()
    env = make_env(host, host.find_env("cartpole"), {"velocities": False}, VectorConfig(num_envs=3))
    with injecting("E2", "1000 steps in a closed loop, with resets", "the same actions") as row:
        began = time.monotonic()
        made = an_agent(name, env.spec.action.space, env.spec.observation.space)
        exported(made, tmp_path / "p.onnx")
        assert _loop(env, made, *build("backend", "onnx", {}).open(tmp_path / "p.onnx"), steps) > steps / 100
        row.took(time.monotonic() - began)
    env.close()


def _loop(env, made, file, engine, steps):
    """Step an env with what the file decides, and count episodes; NumPy must decide the same all along."""
    slots = EnvBuffers.allocate(env.spec, 2)
    inputs = PolicyInputs.of(made.policy.inputs, env.spec, slots)
    inputs.reset[0] = True
    players = [(a, Actor(a.policy, b, deterministic=True)) for a, b in ((made, NumpyBackend()), (file, engine))]
    carries = [a.policy.initial_carry(env.spec.rows) for a, _ in players]
    env.bind(slots)
    env.reset(0)
    rng, episodes = np.random.default_rng(0), 0
    for at in range(steps):
        for i, (agent, actor) in enumerate(players):
            acted = actor(agent.params, inputs.at(0), carries[i], inputs.reset[0], rng)
            carries[i] = map_tree(np.array, acted["carry"])
            if i:
                np.testing.assert_array_equal(acted["env_action"], decided, err_msg=f"step {at}")
            decided = np.array(acted["env_action"])
        env.step(decided, 1)
        inputs.follow(1, acted["action"])
        episodes += int((slots.terminated[1] | slots.truncated[1]).sum())
        inputs.wrap()
    return episodes


class Odd:
    """A policy for one thing that no graph can have."""

    inputs = frozenset({"observation"})

    def __init__(self, logits):
        box, choice = spaces.Box(-1, 1, (3,)), spaces.Discrete(3)
        self.interface = PolicyInterface(
            observation=Layout.of(box), action=Layout.of(choice), outputs=frozenset({"logits"})
        )
        self.logits = logits

    def init(self, rng):
        return {"weight": np.eye(3, dtype=np.float32)}

    def initial_carry(self, rows):
        return ()

    def apply(self, ops, params, inputs, carry, reset, rng):
        return {"logits": self.logits(ops, inputs["observation"] @ params["weight"])}, carry

    def update_stats(self, ops, params, inputs, weight):
        return params


FIXED = {
    "a constant": lambda ops, x: ops.zeros((1, 1, 3)),
    "rows counted": lambda ops, x: x * (x.shape[1] * 1.0),
    "one row of many": lambda ops, x: x[:, :1],
    "rows in a shape": lambda ops, x: ops.reshape(x, (1, 1, 3)),
}
IMPOSSIBLE = {
    "an op that the table lacks": (lambda ops, x: ops.fft(x), "op fft"),
    "a branch on a value": (lambda ops, x: x if x[0, 0, 0] > 0 else -x, "branch on a value"),
    "NumPy's own function": (lambda ops, x: np.tanh(x), "tanh"),
    "a shape that does not fit": (lambda ops, x: ops.matmul(x, ops.ones((5, 3))), "op matmul"),
    "gradients": (lambda ops, x: ops.value_and_grad(lambda p: (ops.sum(p["x"]), ()))({"x": x})[1]["x"], "gradients"),
}


@pytest.mark.parametrize("logits", FIXED.values(), ids=FIXED)
def test_e3_a_policy_that_fixes_the_batch_is_not_exported(logits, tmp_path, injecting):
    with injecting("E3", "a policy that fixes the number of rows", "the export fails, no file") as row:
        refused(Odd(logits), "batch|rows", tmp_path, row)


def test_e3_every_file_has_a_symbolic_batch(tmp_path, injecting):
    with injecting("E3", "the shapes in the graph of a sound policy", "batch symbolic everywhere") as row:
        began = time.monotonic()
        done = exported(an_agent("lstm", ACTIONS["dict"]), tmp_path / "p.onnx", mask=True)
        for value in (*done["inputs"].values(), *done["outputs"].values()):
            assert value["shape"][0] == "batch"
        row.took(time.monotonic() - began)


@pytest.mark.parametrize(("logits", "op"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_e4_a_policy_that_is_no_graph_is_named_with_its_op(logits, op, tmp_path, injecting):
    with injecting("E4", "a policy that cannot be exported", "names the module and the op; no partial file") as row:
        refused(Odd(logits), op, tmp_path, row)


def refused(policy, words, folder, row):
    """The export fails, says why and where, and leaves an older file as it was."""
    old = folder / "p.onnx"
    old.write_bytes(b"old")
    began = time.monotonic()
    with pytest.raises(UnsupportedError, match=words) as caught:
        exported(Agent(policy, policy.init(np.random.default_rng(0))), old)
    assert f"policy {Odd.__module__}:Odd" in caught.value.message
    assert [path.name for path in folder.iterdir()] == ["p.onnx"]
    assert old.read_bytes() == b"old"
    row.took(time.monotonic() - began)
