"""The probe envs give exactly what their table says."""

from __future__ import annotations

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers
from puffer_env_native.env import NativeEnv
from puffer_env_native.probes import ActionReward, ConstantReward, ObservationReward


def stepped(env_class: type[NativeEnv], action: np.ndarray) -> EnvBuffers:
    env = env_class.batch(len(action))
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(0)
    env.step(action, 1)
    return buffers


ACTIONS = np.arange(1000) % 2


@pytest.mark.parametrize("env_class", [ConstantReward, ObservationReward, ActionReward])
def test_every_step_ends_an_episode_in_a_terminal_state(env_class: type[NativeEnv]) -> None:
    buffers = stepped(env_class, ACTIONS)
    assert buffers.terminated[1].all()
    assert not buffers.truncated[1].any()


def test_constant_reward() -> None:
    buffers = stepped(ConstantReward, ACTIONS)
    assert (buffers.reward[1] == 1).all()
    assert (buffers.observation == 0).all()


def test_observation_reward() -> None:
    buffers = stepped(ObservationReward, ACTIONS)
    assert (buffers.reward[1] == buffers.observation[0, :, 0]).all()
    assert np.unique(buffers.observation).tolist() == [-1, 1]
    assert abs(buffers.observation.mean()) < 0.1


def test_action_reward() -> None:
    buffers = stepped(ActionReward, ACTIONS)
    assert (buffers.reward[1] == np.where(ACTIONS == 1, 1, -1)).all()
    assert (buffers.observation == 0).all()
