"""The conformance suite of the Backend contract.

from puffer_testing import BackendConformance

class TestMine(BackendConformance):
    name = "mine"
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puffer_core.arrays import Params, Tree, map_tree, named_leaves
from puffer_core.contracts.backend import Backend, OptimizerConfig
from puffer_core.contracts.ops import Ops
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import NumpyBackend, numpy_ops
from puffer_testing.backend_cases import CASES
from puffer_testing.backend_ops import FLOAT32, FLOAT64, assert_close
from puffer_testing.parity import ParityConformance

OPTIMIZERS = {
    "adam": OptimizerConfig(name="adam"),
    "adam-constants": OptimizerConfig(name="adam", beta1=0.8, beta2=0.95, epsilon=1e-5),
    "adamw": OptimizerConfig(name="adamw", weight_decay=0.1),
    "sgd": OptimizerConfig(name="sgd"),
    "sgd-momentum": OptimizerConfig(name="sgd", momentum=0.9),
}

each_optimizer = pytest.mark.parametrize("config", OPTIMIZERS.values(), ids=OPTIMIZERS)
few_examples = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.differing_executors]
)


class BackendConformance(ParityConformance):
    """Everything that the Backend contract promises. Set `name`, or override `make` and `capabilities`."""

    cases = CASES

    # --- the contract itself

    def test_has_every_member_of_the_contract(self, backend: Backend) -> None:
        assert isinstance(backend, Backend)
        missing = [member for member in _members(Ops) if not hasattr(backend.ops, member)]
        assert not missing, f"ops lacks {missing}"
        assert isinstance(backend.ops, Ops)

    def test_describe_gives_json_values(self, backend: Backend) -> None:
        described = backend.describe()
        assert json.loads(json.dumps(described)) == described
        assert {"version", "device", "threads", "deterministic"} <= set(described)

    def test_one_process_is_rank_0_of_1_and_reduces_to_itself(self, backend: Backend) -> None:
        if backend.world_size != 1:
            pytest.skip("several processes")
        assert backend.rank == 0
        tree = {"a": (np.arange(3.0, dtype=np.float32),)}
        for op in ("mean", "sum", "max"):
            reduced = backend.all_reduce(backend.to_device(tree), op)
            assert_close(backend.to_numpy(reduced), tree, FLOAT32)

    # --- memory

    @pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64"])
    @pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
    def test_arrays_come_back_as_they_went(self, backend: Backend, dtype: str, shape: tuple[int, ...]) -> None:
        if dtype == "float64" and not self.float64:
            pytest.skip("this device has no float64")
        array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
        back = backend.to_numpy(backend.to_device({"x": (array, array)}))
        assert_close(back, {"x": (array, array)}, FLOAT64, same_dtypes_as={"x": (array, array)})

    def test_views_and_read_only_arrays_are_taken(self, backend: Backend) -> None:
        array = np.arange(24, dtype=np.float32).reshape(4, 6)
        fixed = array.copy()
        fixed.flags.writeable = False
        for x in (array[1:3], array[:, ::2], array.T, array[::-1], fixed):
            np.testing.assert_array_equal(backend.to_numpy(backend.to_device(x)), x)

    def test_memory_is_shared_on_the_host(self, backend: Backend) -> None:
        if not backend.on_host:
            pytest.skip("arrays do not live in host memory")
        room = np.zeros(64 + 16, np.float32)
        start = -(room.ctypes.data // 4) % 16  # some engines take over memory only where it begins on 64 bytes
        array = room[start : start + 64]
        assert np.shares_memory(array, backend.to_numpy(backend.to_device(array)))

    def test_a_copy_outlives_what_consumes_the_original(self, backend: Backend) -> None:
        params = {"w": np.ones(3, np.float32), "stats.count": np.ones((), np.float32)}
        original = backend.to_device(params)
        kept = backend.copy(original)
        optimizer = backend.optimizer(OptimizerConfig(name="sgd"))
        gradients = backend.to_device({"w": np.ones(3, np.float32)})
        optimizer.apply(original, gradients, optimizer.init(kept), 0.5)
        assert_close(backend.to_numpy(kept), {"stats.count": 1.0, "w": np.ones(3)}, FLOAT32)
        if backend.on_host:
            x = backend.to_device(np.zeros(4, np.float32))
            assert not np.shares_memory(backend.to_numpy(x), backend.to_numpy(backend.copy(x)))

    # --- compile

    def test_compiled_function_takes_trees_floats_and_rngs(self, backend: Backend) -> None:
        def fn(ops: Ops, tree: Tree, scale: float, rng: Any) -> Tree:
            return {"sum": tree["a"] + tree["b"][0] * scale, "noise": ops.uniform(rng, (2,))}

        compiled = backend.compile(fn)
        for size in (2, 3):  # a new shape is another program on some engines
            x = np.arange(size, dtype=np.float32)
            got = backend.to_numpy(compiled(backend.to_device({"a": x, "b": (x,)}), 0.5, backend.rng(3)))
            noise = backend.to_numpy(backend.ops.uniform(backend.rng(3), (2,)))
            assert_close(got, {"noise": noise, "sum": 1.5 * x}, FLOAT32)

    def test_compiled_function_may_consume(self, backend: Backend) -> None:
        def step(ops: Ops, params: Params, x: Any) -> Params:
            return {name: value + ops.sum(x) for name, value in params.items()}

        compiled = backend.compile(step, consumes=(0,), rows=4)
        params = backend.to_device({"a": np.zeros(4, np.float32), "b": np.ones((), np.float32)})
        x = backend.to_device(np.ones(4, np.float32))
        for _ in range(3):
            params = compiled(params, x)
        assert_close(backend.to_numpy(params), {"a": np.full(4, 12.0), "b": np.asarray(13.0)}, FLOAT32)
        np.testing.assert_array_equal(backend.to_numpy(x), np.ones(4))

    # --- noise

    def test_same_seed_gives_same_noise(self, backend: Backend) -> None:
        first, again, other = (_noise(backend, seed) for seed in (7, 7, 8))
        for name, values in named_leaves(first):
            np.testing.assert_array_equal(values, dict(named_leaves(again))[name])
            assert (values != dict(named_leaves(other))[name]).any(), f"{name}: another seed, the same noise"

    def test_noise_is_not_repeated(self, backend: Backend) -> None:
        rngs = (*backend.ops.split(backend.rng(1), 3), backend.rng(1))
        draws = [backend.to_numpy(backend.ops.uniform(rng, (8,))).tolist() for rng in rngs]
        assert len({tuple(draw) for draw in draws}) == 4

    def test_noise_has_its_distribution(self, backend: Backend) -> None:
        noise = _noise(backend, 5)
        uniform, normal = noise["uniform"].astype(np.float64), noise["normal"].astype(np.float64)
        assert noise["uniform"].dtype == noise["normal"].dtype == np.float32
        assert uniform.min() >= 0
        assert uniform.max() < 1
        np.testing.assert_allclose([uniform.mean(), uniform.var()], [1 / 2, 1 / 12], atol=0.02)
        np.testing.assert_allclose([normal.mean(), normal.var(), (normal**3).mean()], [0, 1, 0], atol=0.1)
        assert sorted(noise["permutation"].tolist()) == list(range(100))

    # --- gradients

    def test_without_gradients_says_so(self, backend: Backend, trains: bool) -> None:
        if trains:
            pytest.skip("the engine differentiates")
        with pytest.raises(UnsupportedError, match=backend.name):
            backend.ops.value_and_grad(lambda params: (params["w"], ()))

    def test_gradients_are_of_trainable_parameters_sorted_by_name(self, backend: Backend, trains: bool) -> None:
        if not trains:
            pytest.skip("the engine does not differentiate")
        ops = backend.ops

        def loss(params: Params, x: Any) -> tuple[Any, Tree]:
            y = ops.sum(params["b"] * x * params["stats.scale"]) + ops.sum(ops.stop_gradient(params["a"]) * x)
            return y, {"y": y, "x": (x,)}

        names = ("stats.scale", "unused", "b", "a")
        params = {name: np.full(2, 2.0, np.float32) for name in names}
        on_device = backend.to_device((params, np.array([1.0, 3.0], np.float32)))
        (value, extra), gradients = backend.to_numpy(ops.value_and_grad(loss)(*on_device))
        assert list(gradients) == ["a", "b", "unused"]
        expected = {"a": np.zeros(2), "b": np.array([2.0, 6.0]), "unused": np.zeros(2)}
        assert_close(gradients, expected, FLOAT32, same_dtypes_as={"a": params["a"], "b": params["b"]})
        assert_close({"value": value, **extra}, {"value": 24.0, "x": (np.array([1.0, 3.0]),), "y": 24.0}, FLOAT32)

    def test_clipping_bounds_the_joint_norm(self, backend: Backend) -> None:
        gradients = {"b": np.array([3.0, 0.0], np.float32), "a": np.array([[4.0]], np.float32)}
        for limit, scale in ((2.5, 0.5), (5.0, 1.0), (50.0, 1.0)):
            clipped, norm = backend.ops.clip_by_global_norm(backend.copy(backend.to_device(gradients)), limit)
            expected = {"a": gradients["a"] * scale, "b": gradients["b"] * scale}
            assert_close(backend.to_numpy({**clipped}), expected, FLOAT32, same_dtypes_as=gradients)
            np.testing.assert_allclose(backend.to_numpy(norm), 5.0, rtol=1e-6)

    def test_clipping_leaves_zero_gradients(self, backend: Backend) -> None:
        clipped, norm = backend.ops.clip_by_global_norm(backend.to_device({"a": np.zeros(2, np.float32)}), 1.0)
        assert_close(backend.to_numpy({**clipped, "norm": norm}), {"a": np.zeros(2), "norm": 0.0}, FLOAT32)

    def test_gradients_stay_finite_where_numbers_are_extreme(self, backend: Backend, trains: bool) -> None:
        if not trains:
            pytest.skip("the engine does not differentiate")
        ops = backend.ops

        def loss(params: dict[str, Any]) -> tuple[Any, Tree]:
            x = params["x"]
            masked = ops.where(x > 0, x, -1e38)
            parts = (ops.softplus(x), ops.sigmoid(x), ops.silu(x), ops.log_softmax(masked, axis=-1) * 1e-38)
            return sum(ops.sum(part) for part in parts), ()

        x = np.array([-300.0, -90.0, 0.0, 90.0, 300.0], np.float32)
        gradient = backend.to_numpy(ops.value_and_grad(loss)(backend.to_device({"x": x}))[1])["x"]
        assert np.isfinite(gradient).all(), f"gradient {gradient} at {x}"

    # --- optimizers

    @each_optimizer
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_optimizer_follows_the_reference(self, backend: Backend, config: OptimizerConfig, dtype: str) -> None:
        if dtype == "float64" and not self.float64:
            pytest.skip("this device has no float64")
        got = _train(backend, config, dtype)
        expected = _train(NumpyBackend(), config, "float64")
        tolerance = FLOAT64 if dtype == "float64" else FLOAT32
        assert_close(
            got["params"], expected["params"], tolerance, same_dtypes_as=_train(NumpyBackend(), config, dtype)["params"]
        )
        assert_close(got["state"], expected["state"], tolerance)

    @each_optimizer
    def test_optimizer_state_starts_at_zero_under_the_common_names(
        self, backend: Backend, config: OptimizerConfig
    ) -> None:
        params = _parameters("float32")
        state = backend.to_numpy(backend.optimizer(config).init(backend.to_device(params)))
        assert_close(state, NumpyBackend().optimizer(config).init(params), FLOAT32)

    # --- shapes that the table does not list

    @few_examples
    @given(st.data())
    def test_reductions_hold_for_any_shape(self, data: st.DataObject) -> None:
        shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
        axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
        op = data.draw(st.sampled_from(["sum", "mean", "max", "min"]))
        x = np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)
        backend = self.make()
        got = getattr(backend.ops, op)(backend.to_device(x), axis=axis, keepdims=True)
        assert_close(backend.to_numpy(got), getattr(numpy_ops, op)(x, axis=axis, keepdims=True), FLOAT32)

    @few_examples
    @given(st.integers(1, 40), st.lists(st.integers(1, 3), max_size=2), st.booleans())
    def test_recurrence_holds_for_any_shape(self, steps: int, rest: list[int], reverse: bool) -> None:
        generator = np.random.default_rng(steps)
        inputs = (
            generator.uniform(0, 1, (steps, *rest)).astype(np.float32),
            generator.standard_normal((steps, *rest)).astype(np.float32),
            generator.standard_normal(rest).astype(np.float32),
        )
        backend = self.make()
        got = backend.ops.linear_recurrence(*backend.to_device(tuple(map(np.asarray, inputs))), reverse=reverse)
        expected = numpy_ops.linear_recurrence(*(x.astype(np.float64) for x in inputs), reverse=reverse)
        assert_close(backend.to_numpy(got), expected, {"rtol": 1e-5, "atol": 1e-5})

    @pytest.mark.parametrize("cell", ["lstm", "gru"])
    def test_reset_is_a_fresh_start(self, backend: Backend, cell: str) -> None:
        generator = np.random.default_rng(2)
        gates, biases = (12, 1) if cell == "lstm" else (9, 2)
        x, state = generator.standard_normal((4, 2, 5)), np.full((2, 3), 9.0)
        weights = [generator.standard_normal(shape) for shape in ((5, gates), (3, gates), *[(gates,)] * biases)]
        reset = np.zeros((4, 2), bool)
        reset[2] = True
        run = functools.partial(_run_cell, backend, cell)
        whole, _ = run(x, state, reset, weights)
        fresh, _ = run(x[2:], np.zeros((2, 3)), reset[:2], weights)
        np.testing.assert_allclose(whole[2:], fresh, rtol=1e-5, atol=1e-6)


def _members(protocol: type) -> set[str]:
    names = {*vars(protocol), *protocol.__annotations__}
    return {name for name in names if not name.startswith("_")}


def _noise(backend: Backend, seed: int) -> dict[str, Any]:
    ops = backend.ops
    uniform, normal, permutation = ops.split(backend.rng(seed), 3)
    drawn = {
        "normal": ops.normal(normal, (40, 100)),
        "permutation": ops.permutation(permutation, 100),
        "uniform": ops.uniform(uniform, (40, 100)),
    }
    arrays: dict[str, Any] = backend.to_numpy(drawn)
    return arrays


def _parameters(dtype: str) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"b.weight": (3, 2), "a.bias": (2,), "stats.count": (), "c": ()}
    return {name: np.asarray(generator.standard_normal(shape), dtype) for name, shape in shapes.items()}


def _train(backend: Backend, config: OptimizerConfig, dtype: str) -> dict[str, Tree]:
    """Twenty steps with gradients of every size, zero included, and a falling learning rate."""
    optimizer = backend.optimizer(config)
    params = backend.copy(backend.to_device(_parameters(dtype)))
    state = optimizer.init(params)
    generator = np.random.default_rng(1)
    for step in range(20):
        sizes = {name: 10.0 ** generator.integers(-4, 2) * (step % 7 > 0) for name in ("a.bias", "b.weight", "c")}
        gradients = {name: size * generator.standard_normal(params[name].shape) for name, size in sizes.items()}
        on_device = backend.to_device({name: np.asarray(x, dtype) for name, x in gradients.items()})
        params, state = optimizer.apply(params, on_device, state, 0.01 * (1 - step / 40))
    trained: dict[str, Tree] = backend.to_numpy({"params": params, "state": state})
    return trained


def _run_cell(backend: Backend, cell: str, x: Any, state: Any, reset: Any, weights: list[Any]) -> Any:
    carry = (state, state) if cell == "lstm" else state
    x, carry, rest = map_tree(lambda array: array.astype(np.float32), (x, carry, tuple(weights)))
    x, carry, reset, rest = backend.to_device((x, carry, reset, rest))
    return backend.to_numpy(getattr(backend.ops, cell)(x, carry, reset, *rest))
