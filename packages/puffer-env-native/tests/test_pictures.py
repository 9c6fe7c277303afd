"""Every env can show itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers, RenderingEnv
from puffer_core.errors import UnsupportedError
from puffer_core.specs import EnvSpec, import_target
from puffer_env_native import NativeEnv, plugin
from puffer_env_native.cartpole import CartPole
from puffer_env_native.gridworld import AGENT, GridWorld
from puffer_env_native.pictures import GREEN, RED, enlarged
from puffer_env_native.probes import ConstantReward, ObservationReward


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("spec", plugin.puffer_envs(), ids=lambda spec: spec.name)
def test_each_env_shows_environment_0_as_it_is(spec: EnvSpec, compiled: bool) -> None:
    env = import_target(spec.target)(2, compiled=compiled)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(0)
    assert isinstance(env, RenderingEnv)
    before, state = env.render(), env.snapshot()["fields"]
    assert before.dtype == np.uint8
    assert min(before.shape[:2]) >= 256
    np.testing.assert_array_equal(env.render(), before)
    for name, array in env.snapshot()["fields"].items():
        np.testing.assert_array_equal(array, state[name])
    if not spec.name.startswith("probe"):
        env.reset(7)
        assert (env.render() != before).any()


def test_a_gridworld_is_its_own_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    env = GridWorld.batch(1)
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(0)
    picture = env.render()
    np.testing.assert_array_equal(picture, enlarged(buffers.observation[0, 0]))
    assert (picture == AGENT).all(axis=-1).any()


def test_a_probe_shows_what_it_observes() -> None:
    env = ObservationReward.batch(1)
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    colours = {1.0: GREEN, -1.0: RED}
    for seed in range(5):
        env.reset(seed)
        assert env.render()[0, 0].tolist() == list(colours[buffers.observation[0, 0, 0]])


def test_without_pillow_it_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UnsupportedError, match=r'pip install "puffer-env-native\[render\]"'):
        CartPole.batch(1).render()


def test_an_env_without_a_picture_says_so() -> None:
    class Blind(NativeEnv):
        observation_space = ConstantReward.observation_space
        action_space = ConstantReward.action_space

    with pytest.raises(UnsupportedError, match=r"Blind cannot be shown\ngive it a method `render\(self\)`"):
        Blind.batch(1).render()
