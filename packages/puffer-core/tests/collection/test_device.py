"""Collection on the device: the same rollouts as on the host, on every engine, and a state that goes on exactly."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces

from puffer_core.arrays import named_leaves
from puffer_core.collection.device import DeviceCollector
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.env import DeviceStart, DeviceStep, VectorEnvSpec
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.contracts.trainer import Collector
from puffer_core.errors import CheckpointError, EnvError, UnsupportedError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout
from puffer_core.vector.device import DeviceVectorEnv

walks = pytest.importorskip("puffer_testing.device_walk", reason="puffer-testing has the probe env")
ROWS, HORIZON = 4, 7
ENGINES = {"numpy": "puffer_core.numpy_backend:NumpyBackend", "torch": "puffer_backend_torch.backend:TorchBackend"}
ENGINES["jax"] = "puffer_backend_jax.backend:JaxBackend"


class Mixed:
    """Walks right, but at the wall against it; its value is the sum of what it saw since the episode began."""

    def __init__(self, spec, inputs=("observation", "previous_action", "previous_reward")):
        self.interface = PolicyInterface(observation=spec.observation, action=spec.action)
        self.inputs = frozenset(inputs)

    def init(self, rng):
        return {"w": np.ones((), np.float32)}

    def initial_carry(self, rows):
        return (np.zeros(rows, np.float32),)

    def update_stats(self, ops, params, inputs, weight):
        return params

    def apply(self, ops, params, inputs, carry, reset, rng):
        place, steps = inputs["observation"][..., 0], inputs["observation"][..., 1]
        seen = steps + 0.25 * place + inputs["previous_reward"]
        seen = seen + 0.125 * ops.astype(inputs["previous_action"], ops.float32)

        def step(total, x):
            value, begins = x
            total = ops.where(begins, ops.zeros_like(total), total) + params["w"] * value
            return total, total

        total, values = ops.scan(step, carry[0], (seen, reset))
        right = 1000.0 * (place - 0.5)  # sure of itself: noise does not matter
        return {"logits": ops.stack([-right, right], axis=-1), "value": values}, (total,)


class Counted(walks.DeviceWalk):
    """The walk that is compared, every row from another place; notes every call of `step`."""

    def __init__(self, calls=None):
        super().__init__(ROWS, length=4, limit=4)
        self._calls = [] if calls is None else calls

    def _first(self, ops, rng):
        place = np.arange(ROWS, dtype=np.float32) % 3
        return super()._first(ops, rng) | {"place": ops.asarray(place)}

    def step(self, ops, state, action, rng):
        self._calls.append(1)
        return super().step(ops, state, action, rng)


class Guess(Mixed):
    """Acts by chance."""

    def apply(self, ops, params, inputs, carry, reset, rng):
        outputs, carry = super().apply(ops, params, inputs, carry, reset, rng)
        return {"logits": 0.0 * outputs["logits"], "value": outputs["value"]}, carry


def engine(name):
    module, _, attribute = ENGINES[name].partition(":")
    if name != "numpy":
        pytest.importorskip(module.partition(".")[0])
    return getattr(importlib.import_module(module), attribute)()


def device(env, backend=None, policy=Mixed, horizon=HORIZON, seed=7):
    backend = backend or NumpyBackend()
    made = policy(env.spec)
    rng = np.random.default_rng(0)
    collector = DeviceCollector(env, made, backend=backend, horizon=horizon, seed=seed, rng=rng)
    return collector, backend.to_device(made.init(rng))


def host(env, backend, policy=Mixed):
    policy, rng = policy(env.spec), np.random.default_rng(0)
    envs = [DeviceVectorEnv(env, backend)]
    return HostCollector(envs, policy, backend=backend, horizon=HORIZON, seed=7, rng=rng)


def arrays(backend, rollout):
    return {name: np.array(x) for name, x in named_leaves(backend.to_numpy(rollout))}


def equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)


def test_is_a_collector():
    assert isinstance(device(walks.DeviceWalk(1))[0], Collector)


@pytest.mark.parametrize("name", ENGINES)
def test_a_rollout_is_the_host_collectors(name):
    backend, traces = engine(name), []
    other = host(Counted(), backend)
    collector, params = device(Counted(traces), backend)
    seen = []
    for _ in range(4):
        seen.append(arrays(backend, collector.collect(params)))
        expected = arrays(backend, other.collect(params))
        for key in seen[-1]:
            assert seen[-1][key].dtype == expected[key].dtype, key
            np.testing.assert_allclose(seen[-1][key], expected[key], rtol=1e-6, err_msg=key)
    assert any(rollout["terminated"].any() for rollout in seen)
    assert any(rollout["truncated"].any() for rollout in seen)
    assert any(rollout["final_outputs/value"].any() for rollout in seen)
    episodes = [each.metrics() for each in (collector, other)]
    assert episodes[0]["episode/return"] == episodes[1]["episode/return"]
    assert collector.env_steps == other.env_steps == 4 * ROWS * HORIZON
    assert len(traces) == 1 or name != "jax", "the program was traced again"


def test_several_truncations_of_a_row_are_each_evaluated():
    env = walks.DeviceWalk(2, length=99, limit=2)
    rollout = device(env)[0].collect(device(env)[1])
    truncated = rollout["truncated"]
    assert truncated.sum(axis=0).tolist() == [3, 3]
    assert (rollout["final_outputs"]["value"] != 0).tolist() == truncated.tolist()


def test_actions_obey_the_mask():
    env = walks.DeviceWalk(8, length=9, limit=30, masked=True)
    collector, params = device(env, policy=Guess, horizon=40)
    rollout = collector.collect(params)
    at_wall = rollout["inputs"]["observation"][:-1, :, 0] == 0
    assert at_wall.any()
    assert rollout["action"][at_wall].all()
    assert not rollout["inputs"]["action_mask"][:-1][at_wall][:, 0].any()


def test_an_input_that_the_env_does_not_give_is_refused():
    with pytest.raises(UnsupportedError, match="reads global_state, which the env device-walk does not give"):
        device(walks.DeviceWalk(1), policy=lambda spec: Mixed(spec, ("global_state",)))


class Odd(walks.DeviceWalk):
    """Gives something else than it should, from one of its functions."""

    def __init__(self, call, change):
        super().__init__(1, masked=True)
        self.call, self.change = call, change

    def reset(self, ops, rng):
        begun = super().reset(ops, rng)
        return self.change(begun) if self.call == "reset" else begun

    def step(self, ops, state, action, rng):
        outcome = super().step(ops, state, action, rng)
        return self.change(outcome) if self.call == "step" else outcome


@pytest.mark.parametrize(
    ("call", "change", "words"),
    [
        ("reset", lambda x: replace(x, observation=x.observation[:, :1]), r"observation of shape \(1, 1\), exp"),
        ("reset", lambda x: x.observation, "gave a .*, expected a DeviceStart"),
        ("reset", lambda x: replace(x, extras={}), r"no extras\['action_mask'\], which its spec promises"),
        ("reset", lambda x: 1 / 0, r"failed \(in .*test_device, line \d+\): ZeroDivisionError"),
        ("step", lambda x: replace(x, final_observation=x.reward), r"final_observation of shape \(1,\), exp"),
        ("step", lambda x: replace(x, reward=x.reward[0]), r"reward of shape \(\), expected \(1,\)"),
        ("step", lambda x: replace(x, terminated=x.reward), "terminated of dtype .*float32.*, expected bool"),
        ("step", lambda x: replace(x, state={"place": x.reward}), "state of shape {'place': .*, expected .*'steps'"),
        ("step", lambda x: (x.state, x.observation), "gave a tuple, expected a DeviceStep"),
        ("step", lambda x: x.rewards, r"failed \(in .*test_device, line \d+\): AttributeError"),
    ],
)  # fmt: skip
def test_what_an_env_does_otherwise_is_told_as_its_own(call, change, words):
    collector, params = device(Odd(call, change))
    with pytest.raises(EnvError, match=f"^device-walk: {call} (gave )?{words}") as caught:
        collector.collect(params)
    assert "puffer envs check" in caught.value.remedy


def test_a_branch_on_a_value_is_named_by_its_line():
    class Branches(walks.DeviceWalk):
        def step(self, ops, state, action, rng):
            return super().step(ops, state if state["place"][0] > 0 else state | {}, action, rng)

    collector, params = device(Branches(1), engine("jax"))
    with pytest.raises(EnvError, match=r"step failed \(in .*test_device, line \d+\): TracerBoolConversionError"):
        collector.collect(params)


# --- agents, nested spaces, a global state ---


class Pairs:
    """Two agents an env walk apart by what they choose; the second is gone after two steps, until the episode ends.

    An agent sees where it is and who it is, as leaves; the state of the env is where both are and the time.
    """

    LIMIT = 4

    def __init__(self, num_envs=3):
        box, two = spaces.Box(-9, 9, ()), spaces.Discrete(2)
        rows = np.arange(2 * num_envs)
        self.spec = VectorEnvSpec(
            id="pairs",
            num_envs=num_envs,
            observation=Layout.of(spaces.Dict(place=box, who=spaces.Box(0, 1, (1,)))),
            action=Layout.of(spaces.Dict(gear=two, speed=spaces.Box(-1, 1, ()))),
            row_env=rows // 2,
            row_group=np.zeros_like(rows),
            agents=("lead", "other"),
            global_state=Layout.of(spaces.Box(-9, 9, (3,))),
            action_mask=True,
        )

    def _seen(self, ops, state):
        who = ops.asarray((np.arange(self.spec.rows) % 2).astype(np.float32))
        return {"place": state["place"], "who": who[:, None]}

    def _everything(self, ops, state):
        both = ops.reshape(state["place"], (self.spec.num_envs, 2))
        return ops.concat([both, state["time"][:, None]], axis=1)

    def _of_rows(self, ops, x):
        return ops.take(x, ops.asarray(self.spec.row_env), axis=0)

    def _extras(self, ops, state):
        late = self._of_rows(ops, state["time"]) >= 2.0
        other = ops.asarray(np.arange(self.spec.rows) % 2 == 1)
        first = state["place"] < 1.0
        return {
            "global_state": self._everything(ops, state),
            "active": ops.logical_not(ops.logical_and(late, other)),
            "action_mask": ops.stack([ops.ones_like(first), first], axis=1),
        }

    def reset(self, ops, rng):
        start = (np.arange(self.spec.rows) * 0.5).astype(np.float32) - 1.0
        state = {"place": ops.asarray(start), "time": ops.asarray(np.arange(self.spec.num_envs, dtype=np.float32) % 3)}
        return DeviceStart(state, self._seen(ops, state), self._extras(ops, state))

    def step(self, ops, state, action, rng):
        push = ops.astype(action["gear"], ops.float32) + ops.astype(action["speed"], ops.float32)
        walked = {"place": state["place"] + push, "time": state["time"] + 1.0}
        over = walked["time"] >= self.LIMIT
        wall = ops.asarray(np.array([9.0] + [1.0] * (self.spec.num_envs - 1), np.float32))  # env 0 has none in reach
        far = ops.max(ops.reshape(walked["place"], (self.spec.num_envs, 2)), axis=1) >= wall
        terminated, truncated = far, ops.logical_and(over, ops.logical_not(far))
        ended = ops.logical_or(far, over)
        ended_rows = self._of_rows(ops, ended)
        after = {
            "place": ops.where(ended_rows, walked["place"] * 0.25, walked["place"]),
            "time": ops.where(ended, ops.zeros_like(walked["time"]), walked["time"]),
        }
        return DeviceStep(
            state=after,
            observation=self._seen(ops, after),
            reward=walked["place"],
            terminated=self._of_rows(ops, terminated),
            truncated=self._of_rows(ops, truncated),
            final_observation=self._seen(ops, walked),
            extras=self._extras(ops, after) | {"final_global_state": self._everything(ops, walked)},
        )


class Central(Mixed):
    """Sure of what it does; its value is the sum of what it and the whole env saw since the episode began."""

    def __init__(self, spec):
        self.interface = PolicyInterface(observation=spec.observation, action=spec.action)
        self.inputs = frozenset({"observation", "global_state", "previous_action", "previous_reward"})

    def apply(self, ops, params, inputs, carry, reset, rng):
        place, who = inputs["observation"]["place"], inputs["observation"]["who"][..., 0]
        before = ops.astype(inputs["previous_action"]["gear"], ops.float32) + inputs["previous_action"]["speed"]
        seen = place + 0.25 * who + 0.5 * before + inputs["previous_reward"] + ops.sum(inputs["global_state"], axis=-1)

        def step(total, x):
            value, begins = x
            total = ops.where(begins, ops.zeros_like(total), total) + params["w"] * value
            return total, total

        total, values = ops.scan(step, carry[0], (seen, reset))
        right = 1000.0 * (0.7 - place)
        speed = 0.1 * place[..., None]
        outputs = {"logits.gear": ops.stack([-right, right], axis=-1), "mean.speed": speed, "value": values}
        return outputs | {"log_std.speed": ops.zeros_like(speed) - 20.0}, (total,)


@pytest.mark.parametrize("name", ENGINES)
def test_agents_that_leave_nested_spaces_and_a_global_state_are_as_on_the_host(name):
    backend = engine(name)
    other = host(Pairs(), backend, Central)
    collector, params = device(Pairs(), backend, Central)
    seen = []
    for _ in range(4):
        seen.append(arrays(backend, collector.collect(params)))
        expected = arrays(backend, other.collect(params))
        assert seen[-1].keys() == expected.keys()
        for key in expected.keys() - {"log_prob"}:  # of noise that is as small as rounding
            counts = expected["active"] if key.startswith(("action", "outputs", "reward")) else ...
            np.testing.assert_allclose(seen[-1][key][counts], expected[key][counts], rtol=1e-5, atol=1e-6, err_msg=key)
    for flag in ("terminated", "truncated"):
        assert any(rollout[flag].any() for rollout in seen)
    assert not all(rollout["active"].all() for rollout in seen)
    assert any(rollout["final_outputs/value"].any() for rollout in seen)
    assert collector.metrics()["episode/return"] == pytest.approx(other.metrics()["episode/return"])


# --- its state ---


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_it_goes_on_bit_for_bit(name):
    backend, env = engine(name), walks.DeviceWalk(ROWS, length=6, limit=9, scattered=True)
    collector, params = device(env, backend, Guess)
    collector.collect(params)
    state, noise = collector.state_dict(), collector._rng.bit_generator.state
    state = {key: dict(value) if isinstance(value, dict) else value for key, value in state.items()}
    expected = [arrays(backend, collector.collect(params)) for _ in range(3)]
    other, _ = device(env, backend, Guess, seed=99)
    other._rng.bit_generator.state = noise
    other.load_state_dict(state)
    assert other.env_steps == ROWS * HORIZON
    for rollout in expected:
        equal(rollout, arrays(backend, other.collect(params)))
    assert other.metrics()["episode/count"] == collector.metrics()["episode/count"]


def test_a_collector_that_has_not_begun_has_a_state():
    env = walks.DeviceWalk(ROWS)
    (collector, params), (other, _) = device(env), device(env)
    other.load_state_dict(collector.state_dict())
    equal(arrays(NumpyBackend(), collector.collect(params)), arrays(NumpyBackend(), other.collect(params)))


def test_a_state_of_other_rows_is_refused_and_changes_nothing():
    collector, params = device(walks.DeviceWalk(ROWS))
    collector.collect(params)
    other, params = device(walks.DeviceWalk(ROWS + 1))
    with pytest.raises(CheckpointError, match="the checkpoint has"):
        other.load_state_dict(collector.state_dict())
    assert other.env_steps == 0
    assert not other.state_dict()["started"]


def test_an_env_state_of_another_form_starts_new_episodes_where_that_is_allowed():
    collector, params = device(walks.DeviceWalk(ROWS))
    collector.collect(params)
    state, told = collector.state_dict(), []
    state["env"] = {"place": state["env"]["place"]}
    other, _ = device(walks.DeviceWalk(ROWS))
    with pytest.raises(CheckpointError, match="the state of the env device-walk: steps"):
        other.load_state_dict(state)
    other.load_state_dict(state, instead=told.append)
    assert "new episodes start" in told[0]
    assert other.collect(params)["reset"][0].all()
    assert other.env_steps == 2 * ROWS * HORIZON
