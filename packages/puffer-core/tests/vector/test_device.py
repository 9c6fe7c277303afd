"""A device env as a vector env: its slots, its state, and which engine steps it."""

from __future__ import annotations

import numpy as np
import pytest

from puffer_core import EnvSpec
from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.errors import CheckpointError, EnvError, UnsupportedError, UsageError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.plugin import puffer_resolve_env
from puffer_core.plugins import PluginHost
from puffer_core.vector.device import DeviceVectorEnv, backend_for

walks = pytest.importorskip("puffer_testing.device_walk", reason="puffer-testing has the probe env")
ACTIONS = np.random.default_rng(0).integers(2, size=(20, 3))


def bound(rows=3):
    env = DeviceVectorEnv(walks.DeviceWalk(rows, length=5, scattered=True, masked=True), NumpyBackend())
    slots = EnvBuffers.allocate(env.spec, 21)
    env.bind(slots)
    return env, slots


def test_it_writes_every_slot():
    env, slots = bound()
    assert isinstance(env, VectorEnv)
    env.reset(0)
    for slot in range(1, 21):
        assert env.step(ACTIONS[slot - 1], slot) == ()
    ended = slots.terminated | slots.truncated
    assert ended.any()
    assert (slots.observation[~ended] == slots.final_observation[~ended])[3:].all()
    assert (slots.action_mask[..., 0] == (slots.observation[..., 0] > 0)).all()


def test_a_snapshot_brings_everything_back():
    env, slots = bound()
    env.reset(3)
    for slot in range(1, 10):
        env.step(ACTIONS[slot], slot)
    state = env.snapshot()
    other, again = bound()
    other.reset(8)
    other.restore(state)
    for slot in range(10, 20):
        env.step(ACTIONS[slot], slot)
        other.step(ACTIONS[slot], slot)
    np.testing.assert_array_equal(slots.observation[10:], again.observation[10:])
    with pytest.raises(CheckpointError):
        bound(rows=4)[0].restore(state)


def test_it_is_bound_before_it_is_used_and_not_after_it_is_closed():
    env, _ = bound()
    env.close()
    with pytest.raises(UsageError, match="before bind"):
        env.reset(0)


def test_an_engine_that_can_is_found_or_named():
    host = PluginHost.discover(third_party=False, environ={})
    anywhere, nowhere = (
        EnvSpec(name="e", summary="", target="a:b", interface="device", backends=frozenset(names))
        for names in ((), ("quantum",))
    )
    mine = NumpyBackend()
    assert backend_for(host, anywhere, mine) is mine
    assert backend_for(host, anywhere).name == "numpy"
    with pytest.raises(UnsupportedError, match="runs on quantum"):
        backend_for(host, nowhere, mine)


def test_gymnaxs_ids_are_not_taken_for_gymnasiums():
    with pytest.raises(EnvError, match="puffer-env-gymnax is not installed"):
        puffer_resolve_env("gymnax:CartPole-v1")
