"""Slots as engines see them: at the same addresses, and never rewritten while somebody computes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from puffer_backend_jax.backend import JaxBackend, JaxConfig
from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core import EnvBuffers, VectorEnv
from puffer_core.alignment import aligned_zeros
from puffer_core.arrays import map_tree, named_leaves
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.backend import LendingBackend
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.observation_batch import ObservationBatch
from puffer_core.vector import ProcessVectorEnv, SerialVectorEnv
from puffer_core.vector.recipe import Recipe
from puffer_env_native.cartpole import CartPole
from puffer_testing.processes import deadline

ROWS, HORIZON = 16, 16  # 16 rows of four floats are a multiple of 64 bytes
BACKENDS = {
    "torch": lambda: TorchBackend(TorchConfig(device="cpu", keep_freed_memory=False)),
    "jax": lambda: JaxBackend(JaxConfig(device="cpu")),
}
LIBRARIES = {"numpy": np.from_dlpack, "torch": torch.from_dlpack, "jax": jnp.from_dlpack}

each_backend = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
each_mode = pytest.mark.parametrize("mode", ["serial", "process", "native"])


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Any:
    return BACKENDS[request.param]()


def make_env(mode: str, rows: int = ROWS) -> VectorEnv:
    if mode == "native":
        return CartPole.batch(rows)
    if mode == "serial":
        return SerialVectorEnv(lambda: gymnasium.make("CartPole-v1"), rows, id="CartPole-v1")
    target = "puffer_env_native.cartpole:CartPole.batch"
    recipe = Recipe(name="cartpole", target=target, interface="vector", arguments={}, options={})
    return ProcessVectorEnv(recipe, CartPole.batch, num_envs=rows, workers=1)


def address(array: Any) -> int:
    if isinstance(array, torch.Tensor):
        return array.data_ptr()
    if isinstance(array, jax.Array):
        return array.unsafe_buffer_pointer()
    return int(array.__array_interface__["data"][0])


# --- addresses


@pytest.fixture(params=["heap", "shared memory"])
def slots(request: pytest.FixtureRequest) -> Iterator[EnvBuffers]:
    with closing(make_env("serial" if request.param == "heap" else "process")) as env:
        yield EnvBuffers.allocate(env.spec, 3, getattr(env, "allocate", aligned_zeros))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_slot_has_the_same_address_in_every_library(slots: EnvBuffers, library: str) -> None:
    slots.observation[1] = 7.0
    for t in range(slots.slots):
        taken = slots.slot(t).through(LIBRARIES[library])
        assert address(taken["observation"]) == address(slots.observation[t])
    np.testing.assert_array_equal(np.asarray(slots.slot(1).through(LIBRARIES[library])["observation"]), 7.0)


@each_backend
def test_a_slot_has_the_same_address_on_every_engine(slots: EnvBuffers, backend: Any) -> None:
    assert address(slots.slot(1).on(backend)["observation"]) == address(slots.observation[1])


def test_what_jax_cannot_take_over_it_copies() -> None:
    with closing(make_env("serial", 3)) as env:
        slots = EnvBuffers.allocate(env.spec, 3)
    slots.observation[1] = 7.0
    assert address(slots.slot(0).through(jnp.from_dlpack)["observation"]) == address(slots.observation)
    slot = slots.slot(1)  # begins at 48 bytes
    assert address(slot.through(torch.from_dlpack)["observation"]) == address(slots.observation[1])
    copied = slot.through(jnp.from_dlpack)["observation"]
    assert address(copied) != address(slots.observation[1])
    np.testing.assert_array_equal(copied, 7.0)


@pytest.mark.parametrize("giver", BACKENDS)
@pytest.mark.parametrize("taker", BACKENDS)
def test_what_lives_on_an_engine_goes_to_another_without_a_copy(giver: str, taker: str) -> None:
    on_giver = BACKENDS[giver]().copy(BACKENDS[giver]().to_device({"observation": np.ones((64, 4), np.float32)}))
    batch = ObservationBatch(on_giver)
    assert address(batch.on(BACKENDS[taker]())["observation"]) == address(on_giver["observation"])
    assert address(batch.through(np.from_dlpack)["observation"]) == address(on_giver["observation"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory is memory that CUDA knows of; there is none")
def test_pinned_slots_keep_their_address_and_go_to_the_device() -> None:
    def pinned(shape: tuple[int, ...], dtype: Any) -> Any:
        return torch.from_numpy(np.zeros(shape, dtype)).pin_memory().numpy()

    with closing(make_env("serial")) as env:
        slots = EnvBuffers.allocate(env.spec, 3, pinned)
    slots.observation[1] = 7.0
    tensor = slots.slot(1).through(torch.from_dlpack)["observation"]
    assert tensor.is_pinned()
    assert address(tensor) == address(slots.observation[1])
    there = slots.slot(1).on(TorchBackend(TorchConfig(device="cuda")))["observation"]
    assert there.is_cuda
    assert there.mean().item() == 7.0


# --- what is handed out is not rewritten


class Even:
    """Chooses evenly."""

    inputs = frozenset({"observation"})

    def __init__(self, env: VectorEnv) -> None:
        self.interface = PolicyInterface(observation=env.spec.observation, action=env.spec.action)

    def init(self, rng: Any) -> Any:
        return {}

    def initial_carry(self, rows: int) -> Any:
        return ()

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        value = ops.mean(inputs["observation"], axis=-1)
        return {"logits": ops.stack([value, -value], axis=-1), "value": value}, carry


def collector(mode: str, batches: int, backend: Any, acting: Any = None) -> HostCollector:
    envs = [make_env(mode, ROWS // batches) for _ in range(batches)]
    rng = np.random.default_rng(1)
    policy: Any = Even(envs[0])
    return HostCollector(
        envs, policy, backend=backend, horizon=HORIZON, seed=5, rng=rng, acting_backend=acting, poison=True
    )


@each_backend
@each_mode
def test_a_rollout_is_the_slots_themselves(mode: str, backend: Any) -> None:
    with deadline(60), closing(collector(mode, 1, backend)) as which:
        rollout = which.collect({})
        slots = which._storage.slots
        assert address(rollout["inputs"]["observation"]) == address(slots.observation)
        assert address(rollout["reward"]) == address(slots.reward[1:])
        assert address(rollout["log_prob"]) == address(which._storage.log_prob)


def slow_sum(rollout: Any) -> Any:
    """Reads every float of a rollout again and again, for some milliseconds."""
    floats = [x for _, x in named_leaves(rollout) if x.dtype in (jnp.float32, torch.float32)]

    def again(total: Any) -> Any:
        return 0.5 * total + sum((x * x + 1e-9 * total).sum() for x in floats)

    if isinstance(floats[0], torch.Tensor):
        total = torch.zeros(())
        for _ in range(3):
            total = again(total)
        return total
    return jax.lax.fori_loop(0, 400, lambda _, total: again(total), jnp.zeros(()))


_slow_sum_jax = jax.jit(slow_sum)


def wrong_sums(which: HostCollector, consume: Callable[[Any], Any], rounds: int) -> int:
    """How many consumers, still computing when the next rollout is collected, saw something else than the rollout."""
    wrong, pending, expected = 0, None, None
    for _ in range(rounds + 1):
        rollout = which.collect({})
        if pending is not None:
            wrong += float(pending) != expected
        own = map_tree(lambda x: jnp.array(np.array(x)) if isinstance(x, jax.Array) else x.clone(), rollout)
        expected = float(consume(own))
        pending = consume(rollout)
    return wrong


@each_backend
@each_mode
@pytest.mark.parametrize("batches", [1, 2])
def test_no_consumer_sees_a_slot_rewritten(mode: str, batches: int, backend: Any) -> None:
    consume = _slow_sum_jax if backend.name == "jax" else slow_sum
    with deadline(120), closing(collector(mode, batches, backend)) as which:
        assert wrong_sums(which, consume, 3) == 0


@each_mode
def test_the_engine_that_acts_sees_no_slot_rewritten(mode: str) -> None:
    backend = BACKENDS["jax"]()
    with deadline(120), closing(collector(mode, 2, backend, BACKENDS["jax"]())) as which:
        for _ in range(3):
            rollout = map_tree(np.array, which.collect({}))
            seen = rollout["inputs"]["observation"][:-1].mean(axis=-1)
            np.testing.assert_allclose(rollout["outputs"]["value"], seen, rtol=1e-5, atol=1e-7)


def test_a_collector_that_did_not_wait_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = BACKENDS["jax"]()
    assert isinstance(backend, LendingBackend)
    monkeypatch.setattr(JaxBackend, "take_back", lambda self, tree: None)
    with deadline(120), closing(collector("native", 1, backend)) as which:
        assert any(wrong_sums(which, _slow_sum_jax, 1) for _ in range(20))


def test_on_jax_a_rollout_kept_too_long_says_so() -> None:
    with closing(collector("native", 1, BACKENDS["jax"]())) as which:
        kept = which.collect({})
        which.collect({})
        with pytest.raises(RuntimeError, match="deleted"):
            np.asarray(kept["reward"])
