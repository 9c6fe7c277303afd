"""Every policy as a file: the same numbers as NumPy at every batch, and nothing left of one that cannot be."""

import gymnasium
import numpy as np
import pytest

from puffer_backend_onnx.backend import OnnxBackend
from puffer_backend_onnx.config import OnnxConfig
from puffer_core import Agent, Layout, PolicyInterface
from puffer_core.numpy_backend import NumpyBackend
from puffer_policies.composite import Composite
from puffer_policies.config import CnnConfig, GruConfig, LstmConfig, MinGruConfig
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
POLICIES = {
    "mlp": (Mlp, MlpConfig(hidden_sizes=(8,), activation="gelu")),
    "mlp-normalised": (Mlp, MlpConfig(hidden_sizes=(8,), normalize_observation=True, shared=True, activation="silu")),
    "lstm": (Composite, LstmConfig(normalize_observation=True, **SMALL)),
    "gru": (Composite, GruConfig(**SMALL)),
    "mingru": (Composite, MinGruConfig(**SMALL)),
}


def agent(kind, config, observation=BOX, action=ACTIONS["discrete"], outputs=frozenset({"value"})):
    interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action), outputs=outputs)
    policy = kind(config, interface)
    rng = np.random.default_rng(0)
    params = {name: (x + 0.05 * rng.random(x.shape)).astype(x.dtype) for name, x in policy.init(rng).items()}
    return Agent(policy, params)


def export(made, path, *, mask=False, reference=None, **options):
    backend = OnnxBackend(OnnxConfig(**options))
    return backend.export(made, path, reference=reference or NumpyBackend(), action_mask=mask, words={"step": 7})


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_numpys_numbers(tmp_path, name, action):
    mask = Layout.of(ACTIONS[action]).mask_size > 0
    done = export(agent(*POLICIES[name], action=ACTIONS[action]), tmp_path / "p.onnx", mask=mask)
    assert done["difference"] <= 1e-5
    assert done["batches"] == [1, 2, 3, 7, 64]
    assert ("action_mask" in done["inputs"]) == mask


@pytest.mark.parametrize("observation", [NESTED, PIXELS, IMAGE, spaces.Tuple([BOX, spaces.Discrete(2)])])
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
