"""Every policy of this distribution, with every encoder, against the suite of its contract."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from puffer_testing import PolicyConformance

IMAGE = Box(0, 255, (7, 7, 3), np.uint8)
CAMERAS = Dict(left=IMAGE, right=Box(0, 1, (1, 9, 9), np.float32), speed=Box(-1, 1, (2,)), gear=Discrete(3))


class TestMlp(PolicyConformance):
    name = "mlp"


class TestMlpShared(PolicyConformance):
    name = "mlp"
    options = {"shared": True, "activation": "relu"}


class TestMlpNormalised(PolicyConformance):
    name = "mlp"
    options = {"normalize_observation": True}


class TestCnn(PolicyConformance):
    name = "cnn"
    options = {"layer_sizes": (16,)}
    observations = (IMAGE, CAMERAS, Box(-1, 1, (3,)))


class TestCnnNature(PolicyConformance):
    name = "cnn"
    options = {"encoder": "nature", "layer_sizes": ()}
    observations = (Box(0, 255, (36, 37, 1), np.uint8), Dict(frames=Box(0, 255, (4, 36, 36), np.uint8)))
    actions = (Discrete(3),)


class TestCnnImpala(PolicyConformance):
    name = "cnn"
    options = {"encoder": "impala", "layer_sizes": (16,)}
    observations = (IMAGE, CAMERAS)
    actions = (Discrete(3),)


class TestLstm(PolicyConformance):
    name = "lstm"
    options = {"hidden_size": 8, "layer_sizes": (8,)}


class TestGru(PolicyConformance):
    name = "gru"
    options = {"hidden_size": 8, "layer_sizes": ()}


class TestMinGru(PolicyConformance):
    name = "mingru"
    options = {"hidden_size": 8, "layer_sizes": (8,), "depth": 2, "normalize_observation": True}


class Combination(PolicyConformance):
    observations = (CAMERAS, IMAGE)
    actions = (Discrete(3),)


class TestLstmOverSmall(Combination):
    name = "lstm"
    options = {"hidden_size": 8, "encoder": "small"}


class TestLstmOverImpala(Combination):
    name = "lstm"
    options = {"hidden_size": 8, "encoder": "impala", "layer_sizes": ()}


class TestGruOverSmall(Combination):
    name = "gru"
    options = {"hidden_size": 8}


class TestGruOverImpala(Combination):
    name = "gru"
    options = {"hidden_size": 8, "encoder": "impala", "normalize_observation": True}


class TestMinGruOverVectors(Combination):
    name = "mingru"
    options = {"hidden_size": 8, "encoder": "vector"}


class TestMinGruOverImpala(Combination):
    name = "mingru"
    options = {"hidden_size": 8, "encoder": "impala", "layer_sizes": (4,)}
