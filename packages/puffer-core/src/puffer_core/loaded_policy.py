"""A trained policy, read from a checkpoint: made again by its plugin, and callable on observations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from pydantic import ValidationError

from puffer_core.arrays import Tree, is_trainable, map_tree, named_leaves
from puffer_core.checkpoints.manifest import Manifest, PolicyEntry
from puffer_core.checkpoints.reading import load
from puffer_core.collection.acting import Actor
from puffer_core.collection.policy_inputs import no_action
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.policy import Agent, Policy, PolicyInterface
from puffer_core.errors import CheckpointError, ShapeError, UnsupportedError, UsageError
from puffer_core.plugins import PluginHost, Provided
from puffer_core.spaces.layout import Layout
from puffer_core.spaces.values import encoded, one_or_many

_SHOWN = 5
"""Differences that a message names."""


@dataclass(frozen=True)
class LoadedAgent:
    """What a checkpoint holds of a policy.

    Args:
        path: of the checkpoint.
        agent: parameters are NumPy arrays.
        provided: who provides the policy.
        manifest: of the checkpoint.
        entry: what the manifest says of the policy.
    """

    path: Path
    agent: Agent
    provided: Provided
    manifest: Manifest
    entry: PolicyEntry

    @property
    def masked(self) -> bool:
        """Whether its env gave action masks."""
        return "action_mask" in self.entry.inputs


def load_agent(path: Path, host: PluginHost) -> LoadedAgent:
    """The policy of a checkpoint, made again.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, names no policy, or its policy's plugin is not installed.
    """
    saved = load(path, ["policy"])
    entry = saved.manifest.policy
    if entry is None:
        raise CheckpointError(
            f"{path}: the trainer made its policy itself, so nothing says how to make it again",
            remedy="a trainer takes its policy from context.policy()",
        )
    provided = _find(path, entry, saved.manifest.components["policy"].distribution_version, host)
    interface = PolicyInterface(
        observation=Layout.from_json(entry.observation),
        action=Layout.from_json(entry.action),
        global_state=Layout.from_json(entry.global_state) if entry.global_state else None,
        outputs=frozenset(entry.outputs),
    )
    model = host.load_config(provided)
    try:
        config = model.model_validate(entry.config) if model else entry.config
    except ValidationError as error:
        raise _unfit(path, f"{provided.label} does not take its options: {error.errors()[0]['msg']}") from error
    policy: Policy = host.load(provided)(config, interface)
    _check_parameters(path, policy, saved.states["policy"])
    return LoadedAgent(path, Agent(policy, saved.states["policy"]), provided, saved.manifest, entry)


def _check_parameters(path: Path, policy: Policy, params: State) -> None:
    """Whether a checkpoint has the parameters that its policy starts with, in the same shapes, and no others to learn.

    A trainer may keep statistics of its own beside them.
    """
    given, wanted = dict(named_leaves(params)), dict(named_leaves(policy.init(np.random.default_rng(0))))
    found = [f"{name} is of no use to it" for name in sorted(given.keys() - wanted.keys()) if is_trainable(name)]
    for name, array in wanted.items():
        shape = getattr(given.get(name), "shape", None)
        if shape != array.shape:
            got = f"has shape {shape}" if name in given else "is missing"
            found.append(f"{name} {got}, expected shape {array.shape}")
    if found:
        rest = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise _unfit(path, f"its parameters are of another policy: {'; '.join(found[:_SHOWN])}{rest}")


def _unfit(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: {what}", remedy="install the versions that `puffer checkpoints inspect` names")


def _find(path: Path, entry: PolicyEntry, number: str, host: PluginHost) -> Provided:
    if not entry.distribution:
        return _find_unpackaged(path, entry.target, host)
    try:
        return host.find("policy", f"{entry.name}@{entry.distribution}")
    except UsageError as error:
        raise CheckpointError(
            f"{path}: its policy is {entry.name} of {entry.distribution} {number}, which is not installed",
            remedy=f"pip install {entry.distribution}=={number}",
        ) from error


def _find_unpackaged(path: Path, target: str, host: PluginHost) -> Provided:
    try:
        return host.find("policy", f"py:{target}")
    except UsageError as error:
        module, cause = target.partition(":")[0], error.__cause__
        missing = (cause.name or module) if isinstance(cause, ModuleNotFoundError) else module
        raise CheckpointError(
            f"{path}: {error.message}",
            remedy=f"it needs {missing}: install it"
            if missing.partition(".")[0] != module.partition(".")[0]
            else f"put the folder where {module} lies on Python's path, as in training: PYTHONPATH=FOLDER puffer ...",
        ) from error


class LoadedPolicy:
    """A trained policy as a function of observations. Keeps its memory, if it has one, until `reset`.

    Args:
        agent: parameters are arrays of `backend`.
        backend: the engine that acts.
        deterministic: take the mode of the distribution instead of sampling.
        seed: of sampling.
    """

    def __init__(self, agent: Agent, backend: Backend, *, deterministic: bool = True, seed: int = 0) -> None:
        self.agent = agent
        self.interface = agent.policy.interface
        self._backend = backend
        self._actor = Actor(agent.policy, backend, deterministic=deterministic)
        self._rng = np.random.default_rng(seed)
        self._rows = 0
        self._carry: Tree = ()
        self._reset: Bool[np.ndarray, "rows"] = np.zeros(0, np.bool_)
        self._previous_action: Any = None

    def __call__(
        self, observation: Any, *, action_mask: Any = None, global_state: Any = None, previous_reward: Any = None
    ) -> Any:
        """The action on one observation, or an action for each of a batch; in the env's own form.

        Args:
            observation: one value of the env's space, or several: a list, or stacked in an array `[rows, ...]` (for a
                nested space in the leaves). Several are separate episodes; their number stays the same until `reset`.
            action_mask: True for valid actions, `[actions]` or `[rows, actions]`, if it was trained with masks.
            global_state: likewise `[...]` or `[rows, ...]`.
            previous_reward: the reward of the last step, for a policy that reads it; 0 where None.

        Raises:
            ShapeError: the observation does not fit the space, or the number of rows changed.
            UnsupportedError: the policy reads an input that was not given.
        """
        layout = self.interface.observation
        values, single = one_or_many(layout, observation)
        rows = len(values)
        if rows != self._rows:
            self._begin(rows)
        given = {"action_mask": action_mask, "global_state": global_state, "previous_reward": previous_reward}
        batch = layout.split(encoded(layout, values))
        inputs = self._inputs(batch, {name: _rows(value, single) for name, value in given.items() if value is not None})
        acted = self._actor(self.agent.params, inputs, self._carry, self._reset, self._rng)
        self._carry = acted["carry"]
        self._reset = np.zeros(rows, np.bool_)
        self._previous_action = map_tree(np.array, acted["action"])
        return self._values(acted["env_action"], single)

    def reset(self, rows: Any = None) -> None:
        """The next observation starts an episode: in every row, or in those where a bool array `[rows]` is True."""
        if rows is None:
            self._rows = 0
            return
        rows = np.asarray(rows, np.bool_)
        if rows.shape != (self._rows,):
            raise ShapeError(f"reset of rows {rows.shape}: the last batch had {self._rows} rows")
        self._reset = self._reset | rows
        for _, leaf in named_leaves(self._previous_action):
            leaf[rows] = 0

    def _begin(self, rows: int) -> None:
        if self._rows:
            raise ShapeError(
                f"got {rows} observations, and {self._rows} before",
                remedy="call reset() before another number of episodes begins",
            )
        self._rows = rows
        self._reset = np.ones(rows, np.bool_)
        self._carry = self._backend.to_device(self.agent.policy.initial_carry(rows))
        self._previous_action = no_action(self.interface.action, rows)

    def _values(self, env_action: np.ndarray[Any, Any], single: bool) -> Any:
        """Actions in the env's own form."""
        layout = self.interface.action
        if not layout.is_nested:
            return env_action[0] if single else env_action
        values = layout.structures(env_action)
        return values[0] if single else values

    def _inputs(self, batch: Tree, given: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
        present: dict[str, Any] = {
            "observation": batch,
            "previous_action": self._previous_action,
            "previous_reward": np.zeros(self._rows, np.float32),
            **given,
        }
        wanted = self.agent.policy.inputs | (given.keys() & {"action_mask"})
        if missing := sorted(wanted - present.keys()):
            raise UnsupportedError(f"the policy reads {', '.join(missing)}: give it, as in policy(observation, ...)")
        return {name: present[name] for name in wanted}


def _rows(value: Any, single: bool) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    return array[None] if single else array
