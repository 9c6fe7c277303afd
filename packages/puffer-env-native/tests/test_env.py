"""A native env as an ordinary Python object: fields, options, random numbers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import UnsupportedError, UsageError
from puffer_env_native import Float32, Int8, Int16, Int32, NativeEnv, UInt8, UInt64
from puffer_env_native.cartpole import CartPole
from puffer_env_native.env import random_states
from puffer_env_native.pendulum import normalised


class Fields(NativeEnv):
    observation_space = Box(-1.0, 1.0, (1,))
    action_space = Discrete(2)
    CONSTANT = 3
    NOTED: ClassVar[float] = 2.5

    plain: float
    count: int
    flag: bool
    narrow: Float32
    tiny: Int8
    small: Int16
    whole: Int32
    byte: UInt8
    wide: UInt64
    option: float = 0.5

    def reset(self) -> None:
        self.plain, self.count, self.flag = 0.1, -3, True
        self.narrow, self.tiny, self.small, self.whole = 0.1, -7, -300, 70000
        self.byte, self.wide = 200, 2**63 + 5

    def step(self, action: int) -> tuple[float, bool]:
        self.plain = self.narrow + self.option * self.CONSTANT + self.NOTED
        self.count += self.tiny + self.small + self.whole + self.byte
        return self.helped(action), self.flag

    def helped(self, action: int) -> float:
        return normalised(100.0 + action)

    def observe(self) -> float:
        return self.narrow


def test_fields_have_their_types() -> None:
    dtypes = {field.name: field.dtype.name for field in Fields.FIELDS}
    assert dtypes == {
        "max_episode_steps": "int64",
        "random_state": "uint64",
        "elapsed": "int32",
        "plain": "float64",
        "count": "int64",
        "flag": "bool",
        "narrow": "float32",
        "tiny": "int8",
        "small": "int16",
        "whole": "int32",
        "byte": "uint8",
        "wide": "uint64",
        "option": "float64",
    }


def test_an_instance_runs_by_hand() -> None:
    env = Fields(seed=1, option=2.0)
    env.reset()
    reward, terminated = env.step(1)
    assert terminated
    assert -np.pi <= reward < np.pi
    assert env.narrow == np.float32(0.1)
    assert env.plain == env.narrow + 2.0 * 3 + 2.5
    assert env.count == -3 - 7 - 300 + 70000 + 200


def test_every_type_of_field_constants_own_methods_and_functions_of_the_module_compile() -> None:
    fields = []
    for compiled in (True, False):
        env = Fields.batch(3, compiled=compiled)
        buffers = EnvBuffers.allocate(env.spec, 2)
        env.bind(buffers)
        env.reset(0)
        env.step(np.array([0, 1, 1]), 1)
        assert buffers.reward[1, 1] == np.float32(normalised(101.0))
        fields.append(env.snapshot()["fields"])
    assert fields[0].keys() == fields[1].keys()
    for name, array in fields[0].items():
        np.testing.assert_array_equal(array, fields[1][name], err_msg=name)


def test_a_field_has_to_be_declared() -> None:
    with pytest.raises(AttributeError, match="CartPole declares no field 'angel': annotate it, `angel: float`"):
        CartPole().angel = 1.0


def test_a_step_cannot_write_an_option() -> None:
    with pytest.raises(AttributeError, match=r"CartPole\.gravity is an option"):
        CartPole().gravity = 1.0


def test_a_field_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Named\.name is annotated <class 'str'>"):

        class Named(NativeEnv):
            name: str


def test_nested_spaces_are_refused() -> None:
    class Nested(CartPole):
        action_space = Dict({"push": Discrete(2), "pull": Discrete(2)})

    with pytest.raises(UnsupportedError, match="Dict"):
        Nested.batch(1)


def test_the_random_stream_is_splitmix64() -> None:
    env = CartPole()
    env.random_state = 1234567
    drawn = [env.random_bits() for _ in range(3)]
    assert drawn == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_uniform_and_integer_keep_their_ranges() -> None:
    env = CartPole(seed=5)
    real = np.array([env.uniform(-2.0, 3.0) for _ in range(4000)])
    assert real.min() >= -2
    assert real.max() < 3
    assert abs(real.mean() - 0.5) < 0.1
    whole = [env.integer(-2, 3) for _ in range(4000)]
    counts = np.unique(whole, return_counts=True)
    assert counts[0].tolist() == [-2, -1, 0, 1, 2]
    assert (np.abs(counts[1] - 800) < 120).all()


def test_first_random_states_depend_on_seed_and_index_alone() -> None:
    few, many = random_states(7, 3), random_states(7, 10_000)
    assert (few == many[:3]).all()
    assert len(np.unique(np.concatenate([many, random_states(8, 10_000)]))) == 20_000
