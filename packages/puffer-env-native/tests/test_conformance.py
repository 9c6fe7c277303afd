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


class TestAcrobot(EnvConformance):
    id = "acrobot"


class TestMountainCar(EnvConformance):
    id = "mountain_car"


class TestMountainCarContinuous(EnvConformance):
    id = "mountain_car_continuous"


class TestGridWorld(EnvConformance):
    id = "gridworld"
    options = {"size": 4}


class TestGridWorldThatSeesLittle(EnvConformance):
    id = "gridworld"
    options = {"size": 4, "sight": 3, "scale": 1}


class TestMaskedGridWorld(EnvConformance):
    id = "gridworld-masked"
    options = {"size": 4}


class TestMaskedGridWorldAsWritten(EnvConformance):
    id = "gridworld-masked"
    options = {"size": 3, "scale": 1, "compiled": False}


class TestProbeConstantReward(EnvConformance):
    id = "probe-constant-reward"
    deterministic = True


class TestProbeObservationReward(EnvConformance):
    id = "probe-observation-reward"


class TestProbeActionReward(EnvConformance):
    id = "probe-action-reward"
    deterministic = True
