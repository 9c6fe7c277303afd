"""Array fields, observations and masks that are written in place, and options that are compiled in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import CheckpointError, EnvError, ShapeError, UnsupportedError, UsageError
from puffer_env_native import Array, Constant, Float32, Int8, NativeEnv, UInt8, UInt64
from puffer_env_native.batch import NativeVectorEnv

BOTH = pytest.mark.parametrize("compiled", [True, False])


class Heap(NativeEnv):
    """Piles of stones: an action takes a stone from one pile and puts it on the next."""

    action_space = Discrete(3)
    piles: Constant = 3
    high: Constant = 5

    stones = Array(Int8, "piles")
    seen = Array(bool, "piles", 2)
    weight = Array(float, 2)
    light = Array(Float32, 2)
    many = Array(UInt64, 1)
    small: UInt8
    narrow: Float32

    @classmethod
    def derive(cls) -> None:
        cls.observation_space = Box(-128, 127, (cls.piles, 2), np.int16)
        cls.action_space = Discrete(cls.piles)

    def reset(self) -> None:
        for pile in range(len(self.stones)):
            self.stones[pile] = self.integer(1, self.high)
            self.seen[pile, 0] = False
            self.seen[pile, 1] = pile == 1
        self.weight[0], self.light[0] = 0.1, 0.1
        self.many[0] = self.random_bits()
        self.small, self.narrow = 3, 0.1

    def step(self, action: int) -> tuple[float, bool]:
        self.move(action, 1)
        self.stones[action - 1] += 1  # -1 is the last pile
        self.seen[action, 0] = True
        self.weight[1] = self.light[0] + self.light[0]
        self.light[1] = self.narrow + self.narrow
        self.many[0] = (self.many[0] * 3) & 0xFFFFFFFFFFFFFFFF
        return float(self.small - 5), self.stones[action] < -3

    def move(self, pile: int, stones: int) -> None:
        self.stones[pile] -= stones

    def observe(self, out: Array) -> None:
        for pile in range(self.piles):
            out[pile, 0] = self.stones[pile]
            out[pile, 1] = self.seen[pile, 0] + 2 * self.seen[pile, 1]

    def action_mask(self, out: Array) -> None:
        for pile in range(len(out)):
            out[pile] = pile == 0 or self.stones[pile] > 0


def bound(env: NativeVectorEnv, slots: int = 9) -> EnvBuffers:
    buffers = EnvBuffers.allocate(env.spec, slots)
    env.bind(buffers)
    env.reset(3)
    return buffers


def played(env: NativeVectorEnv, slots: int = 9) -> EnvBuffers:
    buffers = bound(env, slots)
    rng = np.random.default_rng(0)
    for slot in range(1, slots):
        env.step(rng.integers(0, 3, env.spec.rows), slot)
    return buffers


def test_compiled_and_uncompiled_are_bitwise_the_same() -> None:
    envs = [Heap.batch(7, compiled=compiled) for compiled in (True, False)]
    first, second = (played(env, 33) for env in envs)
    for name in ("observation", "final_observation", "reward", "terminated", "action_mask"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert first.terminated.any()
    fields = [env.snapshot()["fields"] for env in envs]
    for name, array in fields[0].items():
        np.testing.assert_array_equal(array, fields[1][name], err_msg=name)


def test_elements_have_their_types_and_arithmetic_is_wide() -> None:
    env = Heap.batch(2)
    played(env)
    fields = env.snapshot()["fields"]
    shapes = {name: (array.dtype.name, array.shape[1:]) for name, array in fields.items()}
    assert shapes["stones"] == ("int8", (3,))
    assert shapes["seen"] == ("bool", (3, 2))
    assert shapes["weight"] == ("float64", (2,))
    assert fields["weight"][0, 1] == 2 * float(np.float32(0.1))
    assert fields["light"][0, 1] == np.float32(2 * float(np.float32(0.1)))


@BOTH
def test_unsigned_fields_count_below_zero(compiled: bool) -> None:
    env = Heap.batch(2, compiled=compiled)
    buffers = played(env)
    assert (buffers.reward[1:] == -2).all()


def test_an_instance_runs_by_hand() -> None:
    env = Heap(seed=1, piles=4)
    env.reset()
    before = list(env.stones)
    env.step(0)
    assert len(before) == 4
    assert [new - old for new, old in zip(env.stones, before, strict=True)] == [-1, 0, 0, 1]
    out = np.zeros((4, 2), np.int16)
    env.observe(out)
    assert out[:, 0].tolist() == list(env.stones)
    assert out[:, 1].tolist() == [1, 2, 0, 0]


@BOTH
def test_a_mask_follows_the_state(compiled: bool) -> None:
    env = Heap.batch(5, compiled=compiled)
    assert env.spec.action_mask
    buffers = played(env)
    expected = buffers.observation[..., 0] > 0
    expected[..., 0] = True
    np.testing.assert_array_equal(buffers.action_mask, expected)
    assert not expected.all()


def test_a_snapshot_holds_the_arrays() -> None:
    env, other = Heap.batch(4), Heap.batch(4)
    played(env)
    here, there = EnvBuffers.allocate(env.spec, 2), EnvBuffers.allocate(env.spec, 2)
    for each, buffers in ((env, here), (other, there)):
        each.bind(buffers)
    other.reset(99)
    other.restore(env.snapshot())
    for each in (env, other):
        each.step(np.array([0, 1, 2, 1]), 1)
    assert here.observation[1].tolist() == there.observation[1].tolist()
    wrong = env.snapshot()
    wrong["fields"]["stones"] = np.zeros((4, 2), np.int8)
    with pytest.raises(CheckpointError, match=r"field stones of the snapshot is int8\(4, 2\), expected int8\(4, 3\)"):
        env.restore(wrong)


def test_a_constant_makes_another_env_always_the_same_one() -> None:
    assert Heap.variant({"piles": 3}) is Heap
    assert Heap.variant({"piles": 6}) is Heap.variant({"piles": np.int64(6), "high": 5})
    env = Heap.batch(2, piles=6)
    assert env.spec.observation.shape == (6, 2)
    assert env.spec.action.mask_size == 6
    assert env.spec.id == Heap.batch(2).spec.id
    assert played(env).observation.shape == (9, 2, 6, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"piles": 2.5}, "env.piles: got 2.5, expected an integer (Heap)"),
        ({"piles": "many"}, "env.piles: got 'many', expected an integer (Heap)"),
        ({"pile": 2}, "Heap has no option 'pile'\nDid you mean piles?"),
        ({"piles": -1}, "Heap cannot be made with {'piles': -1}: negative dimensions are not allowed"),
    ],
)
def test_bad_constants_are_usage_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Heap.batch(2, **options)
    assert message in str(caught.value)


def test_declarations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match=r"Empty\.cells has the shape \(\), expected integers >= 1"):

        class Empty(NativeEnv):
            cells = Array(UInt8)

    with pytest.raises(UsageError, match=r"Nameless\.cells has the shape \('size'\)"):

        class Nameless(NativeEnv):
            cells = Array(UInt8, "size")

    with pytest.raises(UsageError, match=r"Wordy\.cells is annotated <class 'str'>"):

        class Wordy(NativeEnv):
            cells = Array(str, 3)

    with pytest.raises(UsageError, match=r"Loose\.size is None; a Constant is an integer or a flag"):

        class Loose(NativeEnv):
            size: Constant


class _OneCell(NativeEnv):
    observation_space = Box(0, 255, (4,), np.uint8)
    action_space = Discrete(8)
    cells = Array(UInt8, 4)

    def reset(self) -> None: ...

    def observe(self, out: Array) -> None:
        for i in range(4):
            out[i] = self.cells[i]


class Careless(_OneCell):
    def step(self, action: int) -> tuple[float, bool]:
        self.cells[action] = 7
        return 0.0, False


@pytest.mark.parametrize(
    ("compiled", "message"), [(True, "compiled code does not say what"), (False, "IndexError: index out of bounds")]
)
def test_an_index_out_of_bounds_is_an_error_and_writes_nothing(compiled: bool, message: str) -> None:
    env = Careless.batch(3, compiled=compiled)
    bound(env)
    env.step(np.array([0, 3, 1]), 1)
    with pytest.raises(EnvError, match=f"env 1 raised in step: {message}"):
        env.step(np.array([0, 4, 1]), 2)
    assert env.snapshot()["fields"]["cells"].tolist() == [[7, 0, 0, 0], [0, 0, 0, 7], [0, 7, 0, 0]]


class Replaces(_OneCell):
    def step(self, action: int) -> tuple[float, bool]:
        self.cells = action
        return 0.0, False


class WrongAxes(_OneCell):
    def step(self, action: int) -> tuple[float, bool]:
        self.cells[action, 0] = 1
        return 0.0, False


class WrongIndex(_OneCell):
    def step(self, action: int) -> tuple[float, bool]:
        self.cells[0.5] = 1
        return 0.0, False


class WrongElement(_OneCell):
    def step(self, action: int) -> tuple[float, bool]:
        self.cells[0] = 0.5
        return 0.0, False


@pytest.mark.parametrize(
    ("env_class", "message"),
    [
        (Replaces, "Cannot cast int64 to Cells(cells of "),
        (WrongAxes, "setitem"),
        (WrongIndex, "setitem"),
        (WrongElement, "setitem"),
    ],
)
def test_arrays_are_written_element_by_element(env_class: type[NativeEnv], message: str) -> None:
    env = env_class.batch(1)
    with pytest.raises(EnvError) as caught:
        env.bind(EnvBuffers.allocate(env.spec, 2))
    assert message in str(caught.value)
    with pytest.raises((AttributeError, TypeError)):
        env_class().step(0)


class Steers(_OneCell):
    action_space = Box(-1.0, 1.0, (1,))

    def step(self, _action: tuple[float]) -> tuple[float, bool]:
        return 0.0, False

    def action_mask(self, out: Array) -> None: ...


def test_a_mask_needs_choices() -> None:
    with pytest.raises(UnsupportedError, match="Steers masks its actions, but Box"):
        Steers.batch(1)


def test_a_mask_needs_its_buffer() -> None:
    env = Heap.batch(2)
    buffers = EnvBuffers.allocate(env.spec, 3)
    with pytest.raises(ShapeError, match=r"buffer action_mask is bool\(3, 2, 2\), expected bool\(3, 2, 3\)"):
        env.bind(EnvBuffers(**{**vars(buffers), "action_mask": np.ones((3, 2, 2), np.bool_)}))


class TwoWheels(NativeEnv):
    """Masks of several choices lie one after another."""

    observation_space = Discrete(5)
    action_space = MultiDiscrete([2, 3])
    turned: int

    def reset(self) -> None:
        self.turned = 0

    def step(self, action: tuple[int, int]) -> tuple[float, bool]:
        self.turned = action[0] + action[1]
        return 0.0, False

    def observe(self) -> int:
        return self.turned

    def action_mask(self, out: Array) -> None:
        for i in range(2):
            out[i] = i != self.turned
        for i in range(3):
            out[2 + i] = i == self.turned


@BOTH
def test_a_mask_of_several_choices(compiled: bool) -> None:
    env = TwoWheels.batch(2, compiled=compiled)
    buffers = bound(env)
    env.step(np.array([[0, 1], [1, 1]]), 1)
    assert buffers.observation[1].tolist() == [1, 2]
    assert buffers.action_mask is not None
    assert buffers.action_mask[:2].astype(int).tolist() == [
        [[0, 1, 1, 0, 0], [0, 1, 1, 0, 0]],
        [[1, 0, 0, 1, 0], [1, 1, 0, 0, 1]],
    ]


def echo(dtype: type[np.generic], high: float) -> type[NativeEnv]:
    """An env that shows the action it was given, `[2]` of `dtype`, once returned and once written."""
    space = Box(0, high, (2,), dtype)

    class Echo(NativeEnv):
        observation_space = space
        action_space = space
        first: float
        second: float

        def reset(self) -> None:
            self.first = self.second = 0

        def step(self, action: tuple[float, float]) -> tuple[float, bool]:
            self.first, self.second = action
            return self.first, False

        def observe(self) -> tuple[float, float]:
            return self.first, self.second

    class Written(Echo):
        def observe(self, out: Array) -> None:
            out[0], out[1] = int(self.first), int(self.second)

    return Echo if high < 2 else Written


RETURNED = [(dtype, 1) for dtype in (np.bool_, np.uint8, np.int32, np.float64)]
WRITTEN = [(dtype, 100) for dtype in (np.int8, np.uint16, np.uint64, np.float32)]


@BOTH
@pytest.mark.parametrize(("dtype", "high"), RETURNED + WRITTEN)
def test_boxes_of_other_dtypes(dtype: type[np.generic], high: int, compiled: bool) -> None:
    env = echo(dtype, high).batch(2, compiled=compiled)
    buffers = bound(env)
    action = np.array([[0, high], [high, 0]], dtype)
    env.step(action, 1)
    assert buffers.observation.dtype == dtype
    assert buffers.observation[1].tolist() == action.tolist()
    assert buffers.reward[1].tolist() == [0, high]


def test_half_precision_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="float16 does not compile"):
        echo(np.float16, 1).batch(2)
