"""What this package registers."""

from __future__ import annotations

from puffer_core import EnvSpec, hookimpl

_ENVS = {
    "cartpole": ("cartpole:CartPole", "CartPole-v1: keep a pole upright on a cart"),
    "pendulum": ("pendulum:Pendulum", "Pendulum-v1: swing a pendulum up with a weak motor"),
    "probe-constant-reward": ("probes:ConstantReward", "every episode is one step with reward 1"),
    "probe-observation-reward": ("probes:ObservationReward", "the reward of the only step is the observation"),
    "probe-action-reward": ("probes:ActionReward", "the reward of the only step is decided by the action"),
}


@hookimpl
def puffer_envs() -> list[EnvSpec]:
    return [
        EnvSpec(
            name=name,
            summary=summary,
            target=f"puffer_env_native.{target}.batch",
            interface="vector",
            capabilities=frozenset({"snapshot"}),
        )
        for name, (target, summary) in _ENVS.items()
    ]
