"""Every policy as a file: the same numbers as NumPy at every batch, and nothing left of one that cannot be."""

import json

import gymnasium
import numpy as np
import onnx
import pytest

from puffer_backend_onnx.backend import OnnxBackend
from puffer_backend_onnx.config import OnnxConfig
from puffer_backend_onnx.graph import build_model
from puffer_backend_onnx.ops import OnnxOps
from puffer_core import Agent, Layout, PolicyInterface
from puffer_core.errors import CheckpointError
from puffer_core.numpy_backend import NumpyBackend

pytest.importorskip("puffer_policies", reason="what is exported")
from puffer_policies.composite import Composite
from puffer_policies.config import CnnConfig, LstmConfig
from puffer_policies.mlp import Mlp, MlpConfig

spaces = gymnasium.spaces
BOX = spaces.Box(-np.inf, np.inf, (4,), np.float32)
IMAGE = spaces.Box(0, 255, (12, 12, 3), np.uint8)
NESTED = spaces.Dict(
    pos=spaces.Dict(x=spaces.Box(-1, 1, (2,)), grid=spaces.MultiDiscrete([[2, 3], [4, 2]])),
    bits=spaces.MultiBinary(3),
    wide=spaces.Box(-1.0, 1.0, (2, 2), np.float64),
    gear=spaces.Discrete(3, start=1),
)
PIXELS = spaces.Dict(image=IMAGE, speed=BOX)
ACTIONS = {
    "discrete": spaces.Discrete(3, start=-1),
    "multi_discrete": spaces.MultiDiscrete([[2, 3], [4, 2]], start=[[1, 0], [0, 0]]),
    "multi_binary": spaces.MultiBinary(3),
    "box": spaces.Box(np.array([-2, -np.inf, 0], np.float32), np.array([2, np.inf, np.inf], np.float32)),
    "integers": spaces.Box(0, 9, (2, 2), np.int16),
    "float64": spaces.Box(-1, 1, (2,), np.float64),
    "nested": spaces.Dict(gear=spaces.Discrete(4), arm=spaces.Tuple([spaces.Box(0, 1, ()), spaces.MultiBinary(2)])),
}
SMALL = {"hidden_size": 8}
MLP = MlpConfig(hidden_sizes=(8,), activation="gelu", normalize_observation=True)


def agent(kind=Mlp, config=MLP, observation=BOX, action=ACTIONS["discrete"], outputs=frozenset({"value"})):
    interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action), outputs=outputs)
    policy = kind(config, interface)
    rng = np.random.default_rng(0)
    params = {name: (x + 0.05 * rng.random(x.shape)).astype(x.dtype) for name, x in policy.init(rng).items()}
    return Agent(policy, params)


def export(made, path, *, mask=False, reference=None, **options):
    backend = OnnxBackend(OnnxConfig(**options))
    return backend.export(made, path, reference=reference or NumpyBackend(), action_mask=mask, words={"step": 7})


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_every_action_comes_out_as_the_env_takes_it(tmp_path, action):
    mask = Layout.of(action).mask_size > 0
    done = export(agent(action=action), tmp_path / "p.onnx", mask=mask)
    assert done["difference"] <= 1e-5
    assert ("action_mask" in done["inputs"]) == mask
    for leaf in Layout.of(action).leaves:
        name = f"action.{leaf.name}" if leaf.name else "action"
        assert done["outputs"][name] == {"shape": ["batch", *leaf.shape], "dtype": str(leaf.dtype)}


@pytest.mark.parametrize("observation", [NESTED, PIXELS, IMAGE])
@pytest.mark.parametrize("config", [CnnConfig(), LstmConfig(normalize_observation=True, **SMALL)], ids=["cnn", "lstm"])
def test_every_observation_goes_in_as_the_env_gives_it(tmp_path, observation, config):
    if isinstance(config, CnnConfig) and observation is not PIXELS and observation is not IMAGE:
        pytest.skip("no image to read")
    done = export(agent(Composite, config, observation=observation), tmp_path / "p.onnx")
    leaves = {
        f"observation.{leaf.name}" if leaf.name else "observation": leaf for leaf in Layout.of(observation).leaves
    }
    assert {name for name in done["inputs"] if name.startswith("observation")} == set(leaves)
    for name, leaf in leaves.items():
        assert done["inputs"][name] == {"shape": ["batch", *leaf.shape], "dtype": str(leaf.dtype)}


# --- what is in the file


def test_parameters_are_initializers_under_their_own_names(tmp_path):
    made = agent()
    export(made, tmp_path / "p.onnx")
    model = onnx.load(tmp_path / "p.onnx")
    named = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert set(named) == set(made.params) - {"stats.observation.count"}  # which nothing is computed from
    for name, array in named.items():
        np.testing.assert_array_equal(array, made.params[name])


@pytest.mark.parametrize("opset", [18, 20, 23])
def test_the_opset_is_the_one_that_was_asked_for(tmp_path, opset):
    done = export(agent(Composite, LstmConfig(**SMALL)), tmp_path / "p.onnx", opset=opset)
    assert done["opset"] == opset
    assert {entry.version for entry in onnx.load(tmp_path / "p.onnx").opset_import} == {opset}


def test_metadata_say_what_a_runner_needs(tmp_path):
    export(agent(Composite, LstmConfig(**SMALL), observation=NESTED), tmp_path / "p.onnx")
    given = {entry.key.removeprefix("puffer."): entry.value for entry in onnx.load(tmp_path / "p.onnx").metadata_props}
    assert given["format"] == "puffer-policy 1"
    assert given["step"] == "7"
    assert Layout.from_json(json.loads(given["observation_space"])) == Layout.of(NESTED)
    assert json.loads(given["inputs"]) == ["observation"]
    state = json.loads(given["state"])
    assert state["carry.1"] == {"next": "next_carry.1", "shape": [8], "dtype": "float32", "initial": [0.0] * 8}


def test_rounding_of_huge_activations_is_no_reason_to_refuse(tmp_path):
    made = agent(Composite, CnnConfig(layer_sizes=(64,)), observation=IMAGE)
    wild = {name: x + np.float32(0.3) * np.random.default_rng(1).standard_normal(x.shape, np.float32) for name, x in
            made.params.items()}  # fmt: skip
    assert export(Agent(made.policy, wild), tmp_path / "p.onnx")["difference"] < 1e-3


# --- a policy that exports itself


class Itself(Mlp):
    """Hands over the graph that its own class would give."""

    def to_onnx(self, params, *, opset):
        ops = OnnxOps(opset)
        x = ops.input(np.float32, ("batch", 4))
        weights = {name: ops.input(value.dtype, value.shape) for name, value in params.items()}
        outputs, _ = self.apply(ops, weights, {"observation": x[None]}, (), None, None)
        model = build_model({"observation": x, **weights}, {name: y[0] for name, y in outputs.items()}, opset)
        kept = [value for value in model.graph.input if value.name == "observation"]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        for name, value in params.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return model.SerializeToString()


@pytest.mark.parametrize("action", ["discrete", "box"])
def test_a_policy_that_exports_itself_gets_the_same_end(tmp_path, action):
    made = agent(Itself, action=ACTIONS[action])
    done = export(made, tmp_path / "p.onnx", mask=action == "discrete")
    assert done["difference"] <= 1e-5
    assert {"observation", *(["action_mask"] if action == "discrete" else [])} == set(done["inputs"])
    assert {"action", "value"} < set(done["outputs"])


# --- files that are none


def test_a_file_acts_as_the_policy_that_it_came_from(tmp_path):
    export(agent(), tmp_path / "p.onnx")
    policy = OnnxBackend().open(tmp_path / "p.onnx")[0].policy
    assert policy.inputs == {"observation"}
    assert policy.init(np.random.default_rng(0)) == policy.update_stats(None, {}, {}, None) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: model.metadata_props.pop(), "lacks puffer"),
        (lambda model: setattr(model.metadata_props[0], "value", "{"), "damaged"),
        (lambda model: setattr(model.metadata_props[0], "value", "{}"), "damaged.*cannot read a space"),
        (lambda model: setattr(model.metadata_props[-1], "value", '{"carry.0": 3}'), "damaged: puffer.state.carry.0"),
        (lambda model: setattr(model.metadata_props[-1], "value", "{}"), "lacks the inputs carry"),
        (lambda model: setattr(model.metadata_props[-2], "value", '["wind"]'), "damaged: puffer.inputs"),
        (lambda model: model.metadata_props.clear() or model.ClearField("metadata_props"), "lacks puffer.format"),
        (lambda model: setattr(model.graph.output[0], "name", model.graph.output[1].name), "cannot read it|lacks"),
        (
            lambda model: setattr(model.graph.node[0], "op_type", "Foo"),
            "cannot read it: This is an invalid model. In Node",
        ),
        (
            lambda model: setattr(model, "ir_version", 99),
            "newer ONNX Runtime than .*: Unsupported model IR version: 99",
        ),
        (lambda model: setattr(model.opset_import[0], "version", 99), "newer ONNX Runtime than .* is till opset"),
        (
            lambda model: [
                setattr(x, "value", "puffer-policy 9") for x in model.metadata_props if x.key == "puffer.format"
            ],
            "its form is 'puffer-policy 9', and this puffer-backend-onnx reads 'puffer-policy 1'",
        ),
    ],
    ids=[
        *(
            "part missing",
            "part damaged",
            "no space",
            "no state",
            "less state",
            "unknown input",
            "foreign",
            "no output",
        ),
        *("unknown op", "newer graph", "newer opset", "newer form"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(tmp_path, change, words):
    path = tmp_path / "p.onnx"
    export(agent(Composite, LstmConfig(**SMALL)), path)
    model = onnx.load(path)
    order = {"puffer.state": 2, "puffer.inputs": 1, "puffer.action_space": -1}
    entries = sorted(model.metadata_props, key=lambda entry: order.get(entry.key, 0))
    model.ClearField("metadata_props")
    model.metadata_props.extend(entries)
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=words) as caught:
        OnnxBackend().open(path)
    assert "puffer export" in caught.value.remedy
