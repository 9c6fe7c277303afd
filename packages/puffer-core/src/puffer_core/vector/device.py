"""A device env as a `VectorEnv`: each step is one call of a compiled program, and its slots are NumPy's.

For evaluation and for comparison. Training collects inside the program (`DeviceCollector`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Shaped

from puffer_core.arrays import Tree, named_leaves, replace_leaves
from puffer_core.checkpoints.form import check_form
from puffer_core.collection.device_calls import call_reset, call_step
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import DeviceEnv, EnvBuffers, Infos
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.errors import EnvError, UnsupportedError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost, Provided
from puffer_core.specs import EnvSpec
from puffer_core.vector.checks import check_rows, check_slot, own_actions, sent
from puffer_core.vector.making import check_options, making

_MEANINGLESS = ("mode", "workers", "isolate", "batches")


class DeviceVectorEnv:
    """Implements `VectorEnv` over a `DeviceEnv`, on an engine of its choice.

    Its noise comes from one source for all rows: what a row plays may depend on how many there are.

    Args:
        env: two pure functions over ops.
        backend: the engine that computes them.
    """

    def __init__(self, env: DeviceEnv, backend: Backend) -> None:
        self.spec = replace(env.spec, snapshot=True)
        self._backend = backend
        self._reset = backend.compile(partial(_reset, env=env))
        self._step = backend.compile(partial(_step, env=env), rows=env.spec.rows)
        self._buffers: EnvBuffers | None = None
        self._state: Tree = None
        self._source = (0, 0)
        self._steps = 0
        self._pending: tuple[Any, int] | None = None

    def bind(self, buffers: EnvBuffers) -> None:
        """Take the slots to write into."""
        check_rows(self.spec.id, self.spec.rows, buffers)
        self._buffers = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        """Start every environment anew and write slot 0."""
        self._bound(0, first_slot=0)
        self._source, self._steps = (seed, first), 0
        self._state, written = self._reset(self._noise())
        self._write(0, written)

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """Act and write `slot`."""
        self.send(action, slot)
        return self.recv()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Keep the actions for `recv`, which does the work."""
        self._bound(slot)
        action = own_actions(self.spec.id, action, self.spec.action, self.spec.rows)
        self._pending = self.spec.action.split(action), slot

    def recv(self) -> Infos:
        """Do the step that `send` was told of."""
        action, slot = sent(self.spec.id, self._pending)
        self._pending = None
        self._steps += 1
        self._state, written = self._step(self._state, self._backend.to_device(action), self._noise())
        self._write(slot, written)
        return ()

    def snapshot(self) -> State:
        """The state's arrays by their paths, and what seeds the next step."""
        self._bound(0, first_slot=0)
        arrays = dict(named_leaves(self._backend.to_numpy(self._state)))
        seed, first = self._source
        return {"arrays": arrays, "seed": str(seed), "first": first, "steps": self._steps}

    def restore(self, state: State) -> None:
        """Go back to a `snapshot`.

        Raises:
            CheckpointError: it is of another env.
        """
        template, _ = self._reset(self._noise())
        numbers = {"seed": "", "first": 0, "steps": 0}
        check_form(state, {"arrays": dict(named_leaves(self._backend.to_numpy(template))), **numbers})
        arrays = self._backend.to_device(replace_leaves(template, state["arrays"]))
        self._state = self._backend.copy(arrays)
        self._source, self._steps = (int(state["seed"]), int(state["first"])), int(state["steps"])

    def close(self) -> None:
        """Forget the slots."""
        self._buffers = None

    def _bound(self, slot: int, *, first_slot: int = 1) -> None:
        check_slot(self.spec.id, slot, self._buffers.slots if self._buffers else 0, first_slot)

    def _noise(self) -> Rng:
        seed, first = self._source
        words = np.random.SeedSequence(seed, spawn_key=(first, self._steps)).generate_state(1, np.uint64)
        return self._backend.rng(int(words[0] >> np.uint64(1)))

    def _write(self, slot: int, written: dict[str, Tree]) -> None:
        assert self._buffers is not None
        arrays, layout = self._buffers.arrays(), self.spec.observation
        for name, value in self._backend.to_numpy(written).items():
            if name in arrays:
                arrays[name][slot] = layout.join(value) if name.endswith("observation") else value


def _reset(ops: Ops, rng: Rng, *, env: DeviceEnv) -> tuple[Tree, dict[str, Tree]]:
    begun = call_reset(env, ops, rng)
    none = ops.zeros((env.spec.rows,), dtype=ops.bool)
    outcome = {"reward": ops.zeros((env.spec.rows,)), "terminated": none, "truncated": none}
    return begun.state, {"observation": begun.observation, **outcome, **begun.extras}


def _step(ops: Ops, state: Tree, action: Tree, rng: Rng, *, env: DeviceEnv) -> tuple[Tree, dict[str, Tree]]:
    outcome = call_step(env, ops, state, action, rng)
    names = ("observation", "reward", "terminated", "truncated", "final_observation")
    return outcome.state, {**{name: getattr(outcome, name) for name in names}, **outcome.extras}


def make_device_env(provided: Provided, target: Any, options: dict[str, Any], vector: VectorConfig) -> DeviceEnv:
    """The device env that a registered environment gives.

    Args:
        provided: the environment's description and who provides it.
        target: what its `spec.target` names, imported.
        options: the environment's options, by name.
        vector: of which the number of environments alone counts.

    Raises:
        UsageError: an option that the environment does not have; or a way of stepping, where there is only one.
        EnvError: it cannot be made, or is no device env.
    """
    spec, usual = provided.spec, VectorConfig()
    assert isinstance(spec, EnvSpec)
    for name in _MEANINGLESS:
        if getattr(vector, name) != getattr(usual, name):
            raise UsageError(
                f"--vector.{name} {getattr(vector, name)} does not work for {spec.name}, which is stepped by the "
                "backend itself, all environments at once",
                remedy="Leave it out; --vector.num-envs says how many environments there are.",
            )
    with making(spec.name, options):
        check_options(spec.name, target, options, skip=1)
        env: DeviceEnv = target(vector.num_envs, **dict(spec.arguments), **options)
    if hasattr(env, "bind"):
        raise EnvError(
            f"{spec.name} is registered with interface 'device', but has `bind`, as a VectorEnv has",
            remedy="register it with interface='vector', or give it reset(ops, rng) and step(ops, state, action, rng)",
        )
    return env


def backend_for(host: PluginHost, spec: EnvSpec, backend: Backend | None = None) -> Backend:
    """The engine that a device env is computed by: `backend` where it can, else one that is installed and can.

    Raises:
        UnsupportedError: none of its backends is installed.
    """
    if backend is not None and (not spec.backends or backend.name in spec.backends):
        return backend
    able = [each for each in host.provided("backend") if not spec.backends or each.spec.name in spec.backends]
    able.sort(key=lambda each: (each.spec.name != "numpy", each.spec.name))
    if not able:
        known = ", ".join(sorted(spec.backends))
        raise UnsupportedError(
            f"{spec.name} runs on {known}, which is not installed",
            remedy=f"Install it: pip install puffer-backend-{min(spec.backends)}",
        )
    model = host.load_config(able[0])
    made: Backend = host.load(able[0])(model() if model else {})
    return made
