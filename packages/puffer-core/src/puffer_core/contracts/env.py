"""Env: what is stepped. Always a batch of rows, one row an agent, written in place into slots.

Time runs along the slots. Slot `t` holds what a row sees at step `t` (`observation`, `action_mask`,
`global_state`, `active`) and the outcome of the step that led there (`reward`, `terminated`, `truncated`,
`final_observation`, `cost`). A rollout of T steps needs T+1 slots, and those slots are its storage.

Autoreset is same-step: where an episode ended, `observation` is the first of the next episode and
`final_observation` the last of the old one. No step is spent on resetting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8

from puffer_core.alignment import aligned_zeros
from puffer_core.arrays import Array, Tree
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.errors import ShapeError
from puffer_core.observation_batch import ObservationBatch
from puffer_core.spaces.layout import Layout

Infos: TypeAlias = Sequence[tuple[int, Mapping[str, Any]]]
"""Sparse infos of one step, as (row, dict); only rows that have something to say."""

Allocate: TypeAlias = Callable[[tuple[int, ...], "np.dtype[Any]"], "np.ndarray[Any, Any]"]
"""Gives a zeroed array of a shape and dtype: on the heap, in shared memory, pinned."""

_SEEN = ("observation", "action_mask", "global_state", "active")


@dataclass(frozen=True, kw_only=True)
class VectorEnvSpec:
    """What a vector env is made of; known before any buffer exists.

    Args:
        id: the name the env was asked for by.
        num_envs: environments in the batch, >= 1.
        observation: layout of one row's observation.
        action: layout of one row's action.
        row_env: the environment that each row belongs to, `[rows]`, non-decreasing.
        row_group: the index into `groups` of each row, `[rows]`. Rows of one group are interchangeable agents.
        agents: names of the agents of one environment, in row order.
        groups: names of the groups.
        group_observation: each group's own layout, where they differ; empty where all are `observation`. A group whose
            vectors are shorter than the longest has them in front, zeros behind.
        group_action: likewise of the actions; a group with fewer choices has the others masked.
        global_state: layout of an environment's global state, for a central critic; None where it has none.
        action_mask: whether the env says which actions are valid.
        cost: whether the env gives a cost beside the reward (constrained RL).
        snapshot: whether `snapshot` and `restore` give and take the whole state, generators included.
        no_snapshot: why not, in words; empty where they do, or where nobody knows.
        max_episode_steps: the time limit, None where there is none.
    """

    id: str
    num_envs: int
    observation: Layout
    action: Layout
    row_env: Int64[np.ndarray, "rows"]
    row_group: Int64[np.ndarray, "rows"]
    agents: tuple[str, ...] = ("agent",)
    groups: tuple[str, ...] = ("agent",)
    group_observation: tuple[Layout, ...] = ()
    group_action: tuple[Layout, ...] = ()
    global_state: Layout | None = None
    action_mask: bool = False
    cost: bool = False
    snapshot: bool = False
    no_snapshot: str = ""
    max_episode_steps: int | None = None

    @property
    def rows(self) -> int:
        """Rows of the batch: environments times agents each."""
        return len(self.row_env)

    @classmethod
    def single_agent(cls, *, id: str, num_envs: int, observation: Layout, action: Layout, **rest: Any) -> VectorEnvSpec:
        """The spec of an env with one agent, hence one row, an environment."""
        rows = np.arange(num_envs, dtype=np.int64)
        return cls(
            id=id,
            num_envs=num_envs,
            observation=observation,
            action=action,
            row_env=rows,
            row_group=np.zeros_like(rows),
            **rest,
        )


@dataclass(frozen=True, kw_only=True)
class EnvBuffers:
    """The slots that an env writes into. Every array has the leading axes `[slots, rows]`.

    A view of a slot is valid until that slot is written again.

    Args:
        observation: what the row acts on. At the start of an episode, its first observation.
        active: the row acts on this observation and the transition that starts here counts. False for a
            dead or absent agent; an env that loses a transition to a fault sets it False afterwards.
        reward: earned by the step that led to this slot, in the env's units; 0 where that step did not count.
        terminated: that step ended the episode in a terminal state; nothing follows, do not bootstrap.
        truncated: that step ended the episode for another reason (time limit); bootstrap from `final_observation`.
        final_observation: where an episode ended, its last observation; stale elsewhere.
        action_mask: True for valid actions, `[slots, rows, actions]`; None where every action is always valid.
        global_state: `[slots, envs, ...]`; None where the env has none.
        final_global_state: to `global_state` what `final_observation` is to `observation`.
        cost: like `reward`; None where the env gives none.
    """

    observation: Shaped[np.ndarray, "slots rows *observation"]
    active: Bool[np.ndarray, "slots rows"]
    reward: Float32[np.ndarray, "slots rows"]
    terminated: Bool[np.ndarray, "slots rows"]
    truncated: Bool[np.ndarray, "slots rows"]
    final_observation: Shaped[np.ndarray, "slots rows *observation"]
    action_mask: Bool[np.ndarray, "slots rows actions"] | None = None
    global_state: Shaped[np.ndarray, "slots envs *state"] | None = None
    final_global_state: Shaped[np.ndarray, "slots envs *state"] | None = None
    cost: Float32[np.ndarray, "slots rows"] | None = None

    @classmethod
    def allocate(cls, spec: VectorEnvSpec, slots: int, allocate: Allocate = aligned_zeros) -> EnvBuffers:
        """Buffers of `slots` slots that fit `spec`, every row active.

        Raises:
            ShapeError: fewer than two slots; a step reads one and writes the next.
        """
        if slots < 2:
            raise ShapeError(f"an env needs at least 2 slots, got {slots}")
        lead = (slots, spec.rows)
        flag, real = np.dtype(np.bool_), np.dtype(np.float32)
        observation = (lead + spec.observation.shape, spec.observation.dtype)
        state = (slots, spec.num_envs, *spec.global_state.shape) if spec.global_state else None
        buffers = cls(
            observation=allocate(*observation),
            active=allocate(lead, flag),
            reward=allocate(lead, real),
            terminated=allocate(lead, flag),
            truncated=allocate(lead, flag),
            final_observation=allocate(*observation),
            action_mask=allocate((*lead, spec.action.mask_size), flag) if spec.action_mask else None,
            global_state=allocate(state, spec.global_state.dtype) if state and spec.global_state else None,
            final_global_state=allocate(state, spec.global_state.dtype) if state and spec.global_state else None,
            cost=allocate(lead, real) if spec.cost else None,
        )
        buffers.active[...] = True
        if buffers.action_mask is not None:
            buffers.action_mask[...] = True
        return buffers

    @property
    def slots(self) -> int:
        """Number of slots, T+1 for rollouts of T steps."""
        return len(self.reward)

    def arrays(self) -> dict[str, Shaped[np.ndarray, "slots ..."]]:
        """The arrays that there are, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: array for name, array in named.items() if array is not None}

    def slot(self, t: int) -> ObservationBatch:
        """What rows see at step `t`: a view, to read or to hand to an engine; `observation` and `active` at least.

        Example:
            >>> from gymnasium.spaces import Box, Discrete
            >>> box, choice = Layout.of(Box(-1, 1, (3,))), Layout.of(Discrete(2))
            >>> spec = VectorEnvSpec.single_agent(id="none", num_envs=4, observation=box, action=choice)
            >>> slot = EnvBuffers.allocate(spec, 2).slot(0)
            >>> sorted(slot), slot["observation"].shape
            (['active', 'observation'], (4, 3))
        """
        arrays = self.arrays()
        return ObservationBatch({name: arrays[name][t] for name in _SEEN if name in arrays})

    def part(self, rows: slice, envs: slice) -> EnvBuffers:
        """The same slots, narrowed to some rows and environments: what one worker writes."""
        narrowed: dict[str, Any] = {
            name: array[:, envs if name.endswith("global_state") else rows] for name, array in self.arrays().items()
        }
        return replace(self, **narrowed)

    def wrap(self) -> None:
        """Copy the last slot into slot 0, where the next rollout goes on."""
        for name, array in self.arrays().items():
            if not name.startswith("final_"):
                array[0] = array[-1]


@runtime_checkable
class VectorEnv(Protocol):
    """A batch of environments that writes its rows in place.

    Life: built, `bind` once, `reset`, then `step` (or `send` and `recv`) any number of times, `close`.
    Rows never influence one another, and their order never depends on timing.
    """

    spec: VectorEnvSpec

    def bind(self, buffers: EnvBuffers) -> None:
        """Take the slots to write into; they stay the caller's."""
        ...

    def reset(self, seed: int, first: int = 0) -> None:
        """Start every environment anew and write slot 0, with no reward and no flags.

        Args:
            seed: >= 0.
            first: the number of environment 0 in the batch that this one is a part of. Environment `i` is seeded from
                `(seed, first + i)` alone, so that parts play what the whole would have played.
        """
        ...

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """Act on the observations of `slot - 1` and write `slot`, in 1..slots-1. `send`, then `recv`.

        Actions are in the action space's own numbering: `distributions.to_env` has added a Discrete's `start`.
        Observed choices are counted from 0, as `Layout.encode` writes them.

        Raises:
            EnvError: the env raised or broke its spaces; the message names the env's index and what it did.
        """
        ...

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """Start a step and return at once, where the env can; the work may also happen here or in `recv`."""
        ...

    def recv(self) -> Infos:
        """Wait for the step that `send` started; then its slot is written."""
        ...

    def snapshot(self) -> State:
        """The whole state, generators included.

        Where it consists of a part an environment, let it say so, and it can be shared out among other workers than
        it was taken from: as `{"environments": {"0": state, "1": ...}}`, or as `{"fields": {name: array}}` with
        arrays `[num_envs, ...]`.

        Raises:
            UnsupportedError: `spec.snapshot` is False.
        """
        ...

    def restore(self, state: State) -> None:
        """Go back to a `snapshot`: the same actions then give the same rows, bit for bit.

        Raises:
            CheckpointError: it is of other environments.
            UnsupportedError: `spec.snapshot` is False.
        """
        ...

    def close(self) -> None:
        """Free everything. Safe to call twice."""
        ...


@runtime_checkable
class CountingEnv(Protocol):
    """A `VectorEnv` that counts something worth a metric."""

    def metrics(self) -> dict[str, float]:
        """What was counted since the last call, such as `env/restarts`; the same names from every call."""
        ...


@runtime_checkable
class RenderingEnv(Protocol):
    """A `VectorEnv` that can show itself."""

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """A picture of environment 0 as it is now, RGB.

        Raises:
            UnsupportedError: it was not made for that.
        """
        ...


@dataclass(frozen=True)
class DeviceStart:
    """What `DeviceEnv.reset` gives.

    Args:
        state: of every row, arrays in dicts and tuples.
        observation: `[rows, ...]`; of a nested space a dict of those, by leaf name.
        extras: what the env gives beside it, by its name in `EnvBuffers` and without the slot axis: `action_mask`,
            `global_state`, `active`, as far as `spec` says that there are any.
    """

    state: Tree
    observation: Tree
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceStep:
    """What one step of a `DeviceEnv` gives; the names and meanings of `EnvBuffers`, without the slot axis.

    `state`, `observation` and `extras` are as in `DeviceStart`, of the same shapes and dtypes; `extras` has
    `final_global_state` too where there is a `global_state`.
    """

    state: Tree
    observation: Tree
    reward: Array
    terminated: Array
    truncated: Array
    final_observation: Tree
    extras: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class DeviceEnv(Protocol):
    """An env that lives where the learner lives: two pure functions over `ops`, for a batch of rows.

    Core collects from it with `ops.scan` inside a compiled program. Its state is an ordinary tree of arrays,
    so a snapshot is a copy.
    """

    spec: VectorEnvSpec

    def reset(self, ops: Ops, rng: Rng) -> DeviceStart:
        """First states and observations of every row."""
        ...

    def step(self, ops: Ops, state: Tree, action: Tree, rng: Rng) -> DeviceStep:
        """Next states and outcomes; autoreset is same-step, as everywhere.

        Args:
            ops: the engine.
            state: of the last step.
            action: in the space's own numbering, `[rows, ...]`; of a nested space a dict of those, by leaf name.
            rng: noise of this step.
        """
        ...
