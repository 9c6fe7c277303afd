"""Policy: a pure function of parameters, written once and run by every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.spaces.layout import Layout

Inputs: TypeAlias = Mapping[str, Tree]
"""What a policy may ask for, by name, each `[time, rows, ...]`: `observation`, `action_mask`, `global_state`
(one entry a row), `previous_action`, `previous_reward`; a trainer may add its own, such as `action` for a critic.
An observation or action of a nested space is a dict of such arrays, by the leaf names of its layout (`pos.x`)."""

Outputs: TypeAlias = dict[str, Array]
"""Named arrays `[time, rows, ...]`: `logits`, or `mean` and `log_std` (of a nested action space those of each leaf,
such as `logits.gear`); `value`; whatever else a trainer asked for."""


@dataclass(frozen=True, kw_only=True)
class PolicyInterface:
    """What a policy stands between: the spaces of the env and the outputs that the trainer learns from.

    Args:
        observation: layout of one row's observation.
        action: layout of one row's action.
        global_state: layout of the env's global state, None where it has none.
        outputs: names the trainer needs beside the parameters of the action distribution, such as `value`.

    A policy raises `UnsupportedError` for a layout or an output that it cannot serve, saying what it can.
    """

    observation: Layout
    action: Layout
    global_state: Layout | None = None
    outputs: frozenset[str] = frozenset({"value"})


@runtime_checkable
class Policy(Protocol):
    """A pure function from inputs to named outputs; built as `target(config, interface)`.

    It never reads the number of rows or steps, never branches on a value, and never knows a device: the same
    code acts on NumPy, learns on torch or JAX, and becomes an ONNX graph by being run once.
    """

    interface: PolicyInterface
    inputs: frozenset[str]
    """Names of the inputs that `apply` reads. Action masks reach the action distribution without being named here."""

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters as NumPy arrays, float32 but for `stats.` entries that count.

        The same generator state gives the same weights on every engine.
        """
        ...

    def initial_carry(self, rows: int) -> Tree:
        """The recurrent state at the start of an episode, arrays `[rows, ...]`; `()` for a policy without memory."""
        ...

    def apply(
        self, ops: Ops, params: Params, inputs: Inputs, carry: Tree, reset: Array, rng: Rng | None
    ) -> tuple[Outputs, Tree]:
        """Outputs for every step, and the carry after the last.

        Args:
            ops: the engine.
            params: what `init` gave, or what a backend made of it.
            inputs: arrays `[time, rows, ...]`; time is 1 when acting.
            carry: recurrent state before the first step.
            reset: bool `[time, rows]`; the carry returns to its initial value before a step where this is True.
            rng: noise for policies that draw some themselves; None when there is none to draw.
        """
        ...

    def update_stats(self, ops: Ops, params: Params, inputs: Inputs, weight: Array) -> Params:
        """The parameters with every `stats.` entry brought up to date from inputs that were seen.

        Called by trainers once a rollout, after learning from it, so that collection and learning of one rollout
        see the same statistics. Gives `params` back where there are none.

        Args:
            ops: the engine.
            params: current parameters.
            inputs: arrays `[time, rows, ...]`.
            weight: `[time, rows]`, 0 for entries that do not count.
        """
        ...


@runtime_checkable
class ExportsItself(Protocol):
    """What a policy has beside `Policy` where it is written for one engine alone, and that engine can export it."""

    def to_onnx(self, params: Params, *, opset: int) -> bytes:
        """A serialised ONNX `ModelProto` that does what `apply` does, for one step: nothing has a time axis.

        Every input and output starts with an axis `batch`, symbolic. Inputs, in the observation's and the carry's own
        dtypes: each of the policy's `inputs` by name, `observation` or, of a nested space, `observation.LEAF`; where
        the policy has a memory, `carry.PATH` (or `carry`, a single array) and `reset`, bool `[batch]`. An input that
        nothing is computed from may be missing. Outputs: those of `apply` by name; `next_carry.PATH`. PATH is what
        `puffer_core.arrays.named_leaves` calls the array: `carry.0` and `carry.1` of a tuple.

        Args:
            params: NumPy arrays, `stats.` entries included.
            opset: version of the default operator set, 18 to 23.

        Raises:
            UnsupportedError: naming the part of the policy that cannot be exported.
        """
        ...


@dataclass(frozen=True)
class Agent:
    """A policy together with parameters: what acts, what is evaluated, what is exported."""

    policy: Policy
    params: Params
