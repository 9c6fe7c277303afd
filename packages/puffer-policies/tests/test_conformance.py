"""Every policy of this distribution against the suite of its contract."""

from puffer_testing import PolicyConformance


class TestMlp(PolicyConformance):
    name = "mlp"


class TestMlpShared(PolicyConformance):
    name = "mlp"
    options = {"shared": True, "activation": "relu"}


class TestMlpNormalised(PolicyConformance):
    name = "mlp"
    options = {"normalize_observation": True}
