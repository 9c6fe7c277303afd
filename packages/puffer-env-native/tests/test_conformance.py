"""Each env through the Env contract's suite."""

from __future__ import annotations

from puffer_testing.env import EnvConformance


class TestCartPole(EnvConformance):
    id = "cartpole"


class TestCartPoleOverThreads(EnvConformance):
    id = "cartpole"
    options = {"threads": 2}


class TestCartPoleAsWritten(EnvConformance):
    id = "cartpole"
    options = {"compiled": False}


class TestPendulum(EnvConformance):
    id = "pendulum"


class TestProbeConstantReward(EnvConformance):
    id = "probe-constant-reward"
    deterministic = True


class TestProbeObservationReward(EnvConformance):
    id = "probe-observation-reward"


class TestProbeActionReward(EnvConformance):
    id = "probe-action-reward"
    deterministic = True
