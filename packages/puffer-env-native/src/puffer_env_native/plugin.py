"""What this package registers."""

from __future__ import annotations

from puffer_core import EnvSpec, hookimpl

_ENVS = {
    "acrobot": ("acrobot:Acrobot", "Acrobot-v1: swing a chain of two links up"),
    "cartpole": ("cartpole:CartPole", "CartPole-v1: keep a pole upright on a cart"),
    "gridworld": ("gridworld:GridWorld", "find the goal between random walls, seen as pixels"),
    "gridworld-masked": ("gridworld:MaskedGridWorld", "the gridworld, with moves into walls masked"),
    "mountain_car": ("mountain_car:MountainCar", "MountainCar-v0: swing a car out of a valley"),
    "mountain_car_continuous": (
        "mountain_car:MountainCarContinuous",
        "MountainCarContinuous-v0: swing a car out of a valley with little force",
    ),
    "pendulum": ("pendulum:Pendulum", "Pendulum-v1: swing a pendulum up with a weak motor"),
    "probe-constant-reward": ("probes:ConstantReward", "every episode is one step with reward 1"),
    "probe-observation-reward": ("probes:ObservationReward", "the reward of the only step is the observation"),
    "probe-action-reward": ("probes:ActionReward", "the reward of the only step is decided by the action"),
}
_MORE = {"gridworld-masked": ("action-mask",)}


@hookimpl
def puffer_envs() -> list[EnvSpec]:
    return [
        EnvSpec(
            name=name,
            summary=summary,
            target=f"puffer_env_native.{target}.batch",
            interface="vector",
            capabilities=frozenset({"snapshot", *_MORE.get(name, ())}),
        )
        for name, (target, summary) in _ENVS.items()
    ]
