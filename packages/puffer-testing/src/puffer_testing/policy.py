"""The conformance suite of the Policy contract.

from puffer_testing import PolicyConformance

class TestMine(PolicyConformance):
    name = "mine"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from puffer_core.arrays import Params, Tree, is_trainable, map_tree, named_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.policy import Outputs, Policy, PolicyInterface
from puffer_core.distributions import action_distribution, is_parameter
from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout
from puffer_testing.components import build, find
from puffer_testing.inputs import sampled_inputs

STEPS, ROWS = 6, 4
NESTED_OBSERVATION = Dict(body=Dict(speed=Box(-1, 1, (2,)), gear=Discrete(3)), bits=Tuple([MultiBinary(3)]))
NESTED_ACTION = Dict(move=Discrete(3), arm=Tuple([Box(-2, 2, (2,)), MultiBinary(2)]))


class PolicyConformance:
    """Everything that the Policy contract promises. Set `name`; narrow the spaces where the policy serves fewer."""

    name = ""
    """As registered with the plugin host."""
    options: dict[str, Any] = {}
    """Options of its config model."""
    observations: tuple[Space[Any], ...] = (Box(-1, 1, (3,)), Discrete(4), MultiBinary(3))
    """Observation spaces that it serves."""
    actions: tuple[Space[Any], ...] = (Discrete(3), Box(-2, 2, (2,)), MultiDiscrete([2, 3]), MultiBinary(2))
    """Action spaces that it serves."""

    def make(self, observation: Space[Any], action: Space[Any], outputs: frozenset[str]) -> Policy:
        """The policy under test."""
        interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action), outputs=outputs)
        policy: Policy = build("policy", self.name, self.options, interface)
        return policy

    @pytest.fixture
    def backend(self) -> Backend:
        """NumPy, or the first backend that the policy names."""
        spec = find("policy", self.name).spec if self.name else None
        name = "numpy" if spec is None or spec.runs_on("numpy") else min(spec.backends)
        backend: Backend = build("backend", name, {})
        return backend

    @pytest.fixture
    def policy(self) -> Policy:
        return self.make(self.observations[0], self.actions[0], frozenset({"value"}))

    def test_is_a_policy(self, policy: Policy) -> None:
        assert isinstance(policy, Policy), "it lacks something of `puffer_core.Policy`"

    def test_first_parameters_are_flat_sorted_float32_arrays(self, policy: Policy) -> None:
        params = policy.init(np.random.default_rng(0))
        assert list(params) == sorted(params), "parameter names must be sorted"
        for name, value in params.items():
            assert isinstance(value, np.ndarray), f"{name} is a {type(value).__name__}, expected a NumPy array"
            assert value.dtype == np.float32 or not is_trainable(name), f"{name} is {value.dtype}, expected float32"

    def test_the_generator_decides_the_parameters(self, policy: Policy) -> None:
        first, second, other = (policy.init(np.random.default_rng(seed)) for seed in (0, 0, 1))
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        assert any((first[name] != other[name]).any() for name in first if is_trainable(name)), (
            "another seed gave the same parameters"
        )

    def test_every_pair_of_spaces_gives_outputs(self, backend: Backend) -> None:
        for observation in self.observations:
            for action in self.actions:
                self._check_outputs(backend, self.make(observation, action, frozenset({"value"})))

    @pytest.mark.parametrize("which", ["observation", "action", "both"])
    def test_nested_spaces_are_served_or_refused(self, backend: Backend, which: str) -> None:
        observation = self.observations[0] if which == "action" else NESTED_OBSERVATION
        action = self.actions[0] if which == "observation" else NESTED_ACTION
        try:
            policy = self.make(observation, action, frozenset({"value"}))
        except UnsupportedError:
            pytest.skip("it refuses nested spaces, as it may")
        self._check_outputs(backend, policy)

    def _check_outputs(self, backend: Backend, policy: Policy) -> None:
        interface = policy.interface
        spaces = f"{interface.observation.space} to {interface.action.space}"
        outputs = self._run(backend, policy, self._params(policy), sampled_inputs(policy, STEPS, ROWS))[0]
        assert any(map(is_parameter, outputs)), f"{spaces}: no parameters of an action distribution"
        assert outputs["value"].shape == (STEPS, ROWS), f"{spaces}: shape of value"
        mode = action_distribution(build("backend", "numpy", {}).ops, interface.action, outputs).mode()
        shapes = {name: leaf.shape for name, leaf in named_leaves(mode)}
        expected = {leaf.name: (STEPS, ROWS, *leaf.shape) for leaf in interface.action.leaves}
        assert shapes == expected, f"{spaces}: shapes of actions"

    def test_outputs_are_finite(self, backend: Backend, policy: Policy) -> None:
        outputs = self._run(backend, policy, self._params(policy), sampled_inputs(policy, STEPS, ROWS))[0]
        for name, value in outputs.items():
            assert np.isfinite(value).all(), f"output {name}"

    def test_stepping_equals_unrolling(self, backend: Backend, policy: Policy) -> None:
        params, inputs = self._params(policy), sampled_inputs(policy, STEPS, ROWS)
        reset = np.random.default_rng(5).random((STEPS, ROWS)) < 0.3
        whole, end = self._run(backend, policy, params, inputs, reset=reset)
        carry = policy.initial_carry(ROWS)
        for step in range(STEPS):
            one = map_tree(lambda x, step=step: x[step : step + 1], inputs)
            outputs, carry = self._run(backend, policy, params, one, carry, reset[step : step + 1])
            for name, value in outputs.items():
                np.testing.assert_allclose(value[0], whole[name][step], rtol=1e-4, atol=1e-5, err_msg=f"{name}, {step}")
        for (name, one), (_, other) in zip(named_leaves(carry), named_leaves(end), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=f"carry {name}")

    def test_a_reset_forgets_what_was_before(self, backend: Backend, policy: Policy) -> None:
        params, inputs = self._params(policy), sampled_inputs(policy, STEPS, ROWS)
        _, used = self._run(backend, policy, params, inputs)
        first = map_tree(lambda x: x[:1], inputs)
        begins = np.ones((1, ROWS), bool)
        fresh = self._run(backend, policy, params, first, policy.initial_carry(ROWS), begins)[0]
        after = self._run(backend, policy, params, first, used, begins)[0]
        for name, value in fresh.items():
            np.testing.assert_allclose(after[name], value, rtol=1e-5, atol=1e-6, err_msg=name)

    def test_rows_do_not_influence_one_another(self, backend: Backend, policy: Policy) -> None:
        params, inputs = self._params(policy), sampled_inputs(policy, STEPS, ROWS)
        together = self._run(backend, policy, params, inputs)[0]
        alone = self._run(backend, policy, params, map_tree(lambda x: x[:, 1:2], inputs))[0]
        for name, value in alone.items():
            np.testing.assert_allclose(value, together[name][:, 1:2], rtol=1e-4, atol=1e-5, err_msg=name)

    def test_updating_statistics_touches_nothing_else(self, backend: Backend, policy: Policy) -> None:
        params, inputs = self._params(policy), sampled_inputs(policy, STEPS, ROWS)
        step = backend.compile(policy.update_stats)
        weight = np.ones((STEPS, ROWS), np.float32)
        given = backend.copy(backend.to_device(params))
        updated = backend.to_numpy(step(given, *backend.to_device((inputs, weight))))
        assert set(updated) == set(params)
        for name in filter(is_trainable, params):
            np.testing.assert_array_equal(updated[name], params[name], err_msg=name)

    def test_an_unknown_output_is_refused(self) -> None:
        with pytest.raises(UnsupportedError):
            self.make(self.observations[0], self.actions[0], frozenset({"value", "no-such-output"}))

    def test_no_option_is_required(self) -> None:
        if not self.name:
            pytest.skip("not registered: `make` builds it")
        interface = self.make(self.observations[0], self.actions[0], frozenset()).interface
        assert isinstance(build("policy", self.name, {}, interface), Policy)

    def _params(self, policy: Policy) -> Params:
        return policy.init(np.random.default_rng(0))

    def _run(
        self,
        backend: Backend,
        policy: Policy,
        params: Params,
        inputs: dict[str, Tree],
        carry: Any = None,
        reset: np.ndarray | None = None,
    ) -> tuple[Outputs, Any]:
        steps, rows = next(leaf for _, leaf in named_leaves(inputs)).shape[:2]
        carry = policy.initial_carry(rows) if carry is None else carry
        reset = np.zeros((steps, rows), bool) if reset is None else reset
        apply = backend.compile(policy.apply)
        result = apply(*backend.to_device((params, inputs, carry, reset)), None)
        found: tuple[Outputs, Any] = backend.to_numpy(result)
        return found
