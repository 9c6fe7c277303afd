"""What a policy reads at every step, over the slots of an env."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from jaxtyping import Bool, Int64

from puffer_core.alignment import aligned_zeros
from puffer_core.arrays import Tree, map_tree, named_leaves
from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.errors import UnsupportedError
from puffer_core.observation_batch import ObservationBatch
from puffer_core.spaces.layout import Layout


def no_action(action: Layout, *lead: int) -> Tree:
    """Zeros like the actions that a distribution gives: float32 for a box, else int64; a dict for a nested space.

    Example:
        >>> from gymnasium.spaces import Box, Dict, Discrete
        >>> no_action(Layout.of(Dict(gear=Discrete(4), speed=Box(0, 9, (), int))), 2)
        {'gear': array([0, 0]), 'speed': array([0., 0.], dtype=float32)}
    """
    parts = {
        leaf.name: aligned_zeros((*lead, *leaf.shape), np.float32 if leaf.kind == "box" else np.int64)
        for leaf in action.leaves
    }
    return parts if action.is_nested else parts[""]


def assign(target: Tree, value: Tree) -> None:
    """Write `value` into the array `target`, or leaf by leaf where it is a dict of arrays.

    Example:
        >>> action = {"gear": np.zeros(2), "speed": np.zeros(2)}
        >>> assign(action, {"gear": np.array([1.0, 2.0]), "speed": 3.0})
        >>> action
        {'gear': array([1., 2.]), 'speed': array([3., 3.])}
    """
    if isinstance(target, dict):
        for name, leaf in target.items():
            leaf[...] = value[name]
    else:
        target[...] = value


def input_names(names: AbstractSet[str], spec: VectorEnvSpec) -> list[str]:
    """The inputs of these names, and the action mask where there is one, in order.

    Raises:
        UnsupportedError: the env does not give one of them.
    """
    given = {"observation", "previous_action", "previous_reward"}
    given |= {"action_mask"} if spec.action_mask else set()
    given |= {"global_state"} if spec.global_state is not None else set()
    if missing := sorted(set(names) - given):
        raise UnsupportedError(
            f"the policy reads {', '.join(missing)}, which the env {spec.id} does not give; it gives "
            f"{', '.join(sorted(given))}"
        )
    return sorted(set(names) | (given & {"action_mask"}))


class PolicyInputs:
    """Every input of a policy at every slot: views of the env's slots where the env writes them, own arrays elsewhere.

    Views are made once, here: a step makes none.

    Args:
        spec: of the env.
        slots: of the env.
        arrays: name to `[slots, rows, ...]` (`[slots, envs, ...]` for `global_state`); a nested observation or action
            is a dict of those by leaf name.
        reset: where an episode starts.
    """

    def __init__(
        self, spec: VectorEnvSpec, slots: EnvBuffers, arrays: dict[str, Tree], reset: Bool[np.ndarray, "slots rows"]
    ) -> None:
        self.spec, self.slots, self.arrays, self.reset = spec, slots, arrays, reset
        self._views = [ObservationBatch(map_tree(lambda x, t=t: x[t], arrays)) for t in range(slots.slots)]
        rows = np.arange(spec.rows)
        self._spreads_state = "global_state" in arrays and not np.array_equal(spec.row_env, rows)

    @classmethod
    def of(cls, names: AbstractSet[str], spec: VectorEnvSpec, slots: EnvBuffers) -> PolicyInputs:
        """The inputs of these names, and the action mask where there is one.

        Raises:
            UnsupportedError: the env does not give one of them.
        """
        lead = (slots.slots, spec.rows)
        own = {"previous_action": no_action(spec.action, *lead), "previous_reward": aligned_zeros(lead, np.float32)}
        given = own | {name: getattr(slots, name) for name in ("observation", "action_mask", "global_state")}
        arrays: dict[str, Tree] = {name: given[name] for name in input_names(names, spec)}
        for name, layout in (("observation", spec.observation), ("global_state", spec.global_state)):
            if name in arrays and layout is not None:
                arrays[name] = layout.split(arrays[name])
        return cls(spec, slots, arrays, aligned_zeros(lead, np.bool_))

    def part(self, spec: VectorEnvSpec, rows: slice, envs: slice) -> PolicyInputs:
        """The same arrays, narrowed to the rows of one of several envs."""
        arrays = {
            name: map_tree(lambda x, place=envs if name == "global_state" else rows: x[:, place], array)
            for name, array in self.arrays.items()
        }
        return PolicyInputs(spec, self.slots.part(rows, envs), arrays, self.reset[:, rows])

    def at(self, slot: int) -> ObservationBatch:
        """The inputs of one step, name to `[rows, ...]`; not to be changed."""
        inputs = self._views[slot]
        if not self._spreads_state:
            return inputs
        return ObservationBatch(
            {**inputs, "global_state": map_tree(lambda x: x[self.spec.row_env], inputs["global_state"])}
        )

    def whole(self) -> dict[str, Tree]:
        """The inputs of all steps, name to `[slots, rows, ...]`."""
        inputs = dict(self.arrays)
        if self._spreads_state:
            inputs["global_state"] = map_tree(lambda x: x[:, self.spec.row_env], inputs["global_state"])
        return inputs

    def follow(self, slot: int, action: Tree) -> None:
        """Bring `slot` up to date after the step that led there.

        An episode starts where one ended, and where the transition did not count: the row was dead, or its env failed.

        Args:
            slot: that the env has just written.
            action: that it was given, as the distribution gave it.
        """
        slots, starts = self.slots, self.reset[slot]
        np.logical_or(slots.terminated[slot], slots.truncated[slot], out=starts)
        np.logical_or(starts, ~slots.active[slot - 1], out=starts)
        view = self._views[slot]
        if "previous_action" in view:
            assign(view["previous_action"], action)
            for _, leaf in named_leaves(view["previous_action"]):
                leaf[starts] = 0
        if "previous_reward" in view:
            view["previous_reward"][...] = np.where(starts, 0.0, slots.reward[slot])

    def at_end(self, slot: int, rows: Int64[np.ndarray, "ended"] | slice, action: Tree) -> dict[str, Tree]:
        """The inputs that the episodes of these rows ended with, name to `[ended, ...]`.

        Args:
            slot: where their next episodes begin.
            rows: whose episodes ended; of others the observation is stale.
            action: of all rows, that ended them.
        """
        given, slots, spec = self._views[slot], self.slots, self.spec
        inputs: dict[str, Tree] = {"action_mask": given["action_mask"][rows]} if "action_mask" in given else {}
        if "observation" in given:
            inputs["observation"] = spec.observation.split(slots.final_observation[slot][rows])
        if "global_state" in given and slots.final_global_state is not None:
            assert spec.global_state is not None
            inputs["global_state"] = spec.global_state.split(slots.final_global_state[slot][spec.row_env[rows]])
        if "previous_action" in given:
            inputs["previous_action"] = map_tree(lambda x: x[rows], action)
        if "previous_reward" in given:
            inputs["previous_reward"] = slots.reward[slot][rows]
        return inputs

    def wrap(self) -> None:
        """Copy the last slot into slot 0, where the next rollout goes on."""
        self.slots.wrap()
        self.reset[0] = self.reset[-1]
        for name in ("previous_action", "previous_reward"):
            if name in self.arrays:
                assign(self._views[0][name], self._views[-1][name])

    def last(self) -> dict[str, Tree]:
        """The inputs of the last slot, for a state; `restore_last` takes them back."""
        return {**self._views[-1], "active": self.slots.active[-1], "reset": self.reset[-1]}

    def restore_last(self, state: Mapping[str, Tree]) -> None:
        """Make the last slot what `last` gave."""
        for name, target in self.last().items():
            assign(target, state[name])
