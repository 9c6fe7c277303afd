"""Each env through the Env contract's suite."""

from __future__ import annotations

from puffer_testing.env import EnvConformance


class TestCartPole(EnvConformance):
    id = "cartpole"
    steps = 60


class TestCartPoleOverThreads(EnvConformance):
    id = "cartpole"
    options = {"threads": 2}
    steps = 60


class TestCartPoleAsWritten(EnvConformance):
    id = "cartpole"
    options = {"compiled": False}
    steps = 60


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
    steps = 70


class TestGridWorldThatSeesLittle(EnvConformance):
    id = "gridworld"
    options = {"size": 4, "sight": 3, "scale": 1}
    steps = 70


class TestMaskedGridWorld(EnvConformance):
    id = "gridworld-masked"
    options = {"size": 4}
    steps = 70


class TestMaskedGridWorldAsWritten(EnvConformance):
    id = "gridworld-masked"
    options = {"size": 3, "scale": 1, "compiled": False}
    steps = 40


class TestProbeConstantReward(EnvConformance):
    id = "probe-constant-reward"
    deterministic = True
    steps = 40


class TestProbeObservationReward(EnvConformance):
    id = "probe-observation-reward"
    steps = 40


class TestProbeActionReward(EnvConformance):
    id = "probe-action-reward"
    deterministic = True
    steps = 40
