"""The suites pass on what keeps its contract, and each check fails on what breaks it."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gymnasium.spaces import Box

from puffer_core.contracts.logger import RunInfo
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout
from puffer_testing import CheckpointableConformance, LoggerConformance, PolicyConformance, TrainerConformance

pytestmark = pytest.mark.usefixtures("specimens")
FAILURES = (AssertionError, pytest.fail.Exception)


def specimen(name: str) -> Any:
    return getattr(importlib.import_module("specimens"), name)


# --- what keeps its contract ---


class TestRecurrent(PolicyConformance):
    name = "recurrent"


class TestDrift(TrainerConformance):
    name = "drift"
    env = "clock"
    options = {"backend": "numpy", "vector": {"num_envs": 2}}


class TestLines(LoggerConformance):
    name = "lines"


class TestTotal(CheckpointableConformance):
    def make(self) -> Any:
        return specimen("Total")()

    def advance(self, component: Any) -> None:
        component.add()


# --- policies ---


def check_policy(broken: str, check: str) -> None:
    class Suite(PolicyConformance):
        def make(self, observation: Any, action: Any, outputs: frozenset[str]) -> Any:
            layouts = {"observation": Layout.of(observation), "action": Layout.of(action)}
            return specimen(broken)(None, PolicyInterface(**layouts, outputs=outputs))

    suite, backend = Suite(), NumpyBackend()
    policy = suite.make(Box(-1, 1, (3,)), suite.actions[0], frozenset({"value"}))
    given = {"policy": policy, "backend": backend}
    method = getattr(suite, f"test_{check}")
    method(**{name: given[name] for name in method.__code__.co_varnames[1 : method.__code__.co_argcount]})


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        ("Unsorted", "first_parameters_are_flat_sorted_float32_arrays", "must be sorted"),
        ("DoublePrecision", "first_parameters_are_flat_sorted_float32_arrays", "is float64, expected float32"),
        ("OwnGenerator", "the_generator_decides_the_parameters", "Arrays are not equal"),
        ("FixedWeights", "the_generator_decides_the_parameters", "another seed gave the same parameters"),
        ("NeverForgets", "a_reset_forgets_what_was_before", "Not equal"),
        ("ForgetsCarry", "stepping_equals_unrolling", "Not equal"),
        ("MixesRows", "rows_do_not_influence_one_another", "Not equal"),
        ("Infinite", "outputs_are_finite", "output logits"),
        ("ValueWithAxis", "every_pair_of_spaces_gives_outputs", "shape of value"),
        ("LearnsInStats", "updating_statistics_touches_nothing_else", "not equal"),
        ("TakesAnyOutput", "an_unknown_output_is_refused", "DID NOT RAISE"),
    ],
)
def test_a_broken_policy_fails(broken: str, check: str, message: str) -> None:
    with pytest.raises(FAILURES, match=message):
        check_policy(broken, check)


# --- trainers ---


def check_trainer(broken: str, check: str, tmp_path: Path) -> None:
    class Suite(TestDrift):
        name = broken.lower()

    method = getattr(Suite(), f"test_{check}")
    with ExitStack() as contexts:
        given = {"contexts": contexts, "tmp_path": tmp_path}
        method(**{name: given[name] for name in method.__code__.co_varnames[1 : method.__code__.co_argcount]})


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        ("NoUnit", "is_a_trainer", "unit is 'minutes'"),
        ("Stands", "progress_grows_with_every_update", r"progress was \[0, 0, 0, 0\]"),
        ("NumpyMetrics", "metrics_are_finite_floats_under_fixed_names", "drift/step is a float32"),
        ("ReadsClock", "metrics_are_finite_floats_under_fixed_names", "reads no clock"),
        ("ChangingMetrics", "metrics_are_finite_floats_under_fixed_names", "other names"),
        ("NotFinite", "metrics_are_finite_floats_under_fixed_names", "drift/mean is nan"),
        ("OwnPolicy", "the_agent_acts", "must be the context's"),
        ("LosesParameters", "the_agent_acts", "lacks parameters"),
        ("OwnNoise", "the_seed_decides_everything", "the same seed gave another state"),
        ("IgnoresSeed", "the_seed_decides_everything", "another seed gave the same state"),
        ("OwnFixedNoise", "a_restored_trainer_goes_on_as_the_first_would_have", "not equal"),
        ("ForgetsCount", "a_restored_trainer_goes_on_as_the_first_would_have", "not equal"),
        ("NestedParameters", "parameters_are_flat_in_the_state", "the state.s and the agent.s parameters differ"),
        ("LoadsHalf", "a_state_that_does_not_fit_is_refused_and_changes_nothing", "partly loaded"),
        ("TakesAnything", "a_state_that_does_not_fit_is_refused_and_changes_nothing", "was taken"),
    ],
)
def test_a_broken_trainer_fails(broken: str, check: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FAILURES, match=message):
        check_trainer(broken, check, tmp_path)


# --- loggers ---


@pytest.mark.parametrize(
    ("broken", "check", "error"),
    [
        ("OnlyNewRuns", "a_resumed_run_goes_on", AssertionError),
        ("WholeNumbers", "numbers_that_are_none_are_taken", (ValueError, OverflowError)),
        ("TakesMetricsAway", "metrics_stay_the_callers", AssertionError),
        ("ImagesOnly", "every_kind_of_artifact_is_taken_or_dropped", AssertionError),
        ("ClosesOnce", "closing_twice_is_safe", AssertionError),
    ],
)
def test_a_broken_logger_fails(broken: str, check: str, error: Any, tmp_path: Path) -> None:
    class Suite(LoggerConformance):
        def make(self) -> Any:
            return specimen(broken)(None)

    run = RunInfo(id="r", directory=tmp_path, trainer="t", source="e", config={}, unit="env_steps")
    with pytest.raises(error):
        getattr(Suite(), f"test_{check}")(run)


def test_a_logger_without_a_method_fails() -> None:
    class Suite(LoggerConformance):
        def make(self) -> Any:
            return specimen("NoArtifacts")()

    with pytest.raises(AssertionError):
        Suite().test_is_a_logger()


# --- checkpointables ---


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        ("NoVersion", "is_checkpointable", "no int"),
        ("SavesNothing", "advancing_changes_the_state", "missing from the state"),
        ("LosesCount", "a_restored_component_goes_on_as_the_first_would_have", "comes back differently"),
        ("HiddenCount", "a_restored_component_goes_on_as_the_first_would_have", "goes on differently"),
        ("AddsUp", "a_used_component_takes_a_state_back_too", "the old state stayed"),
        ("StateCosts", "asking_for_the_state_changes_nothing", "changes what follows"),
        ("HalfTaken", "a_state_that_does_not_fit_is_refused_and_changes_nothing", "partly loaded"),
    ],
)
def test_a_broken_component_fails(broken: str, check: str, message: str) -> None:
    class Suite(TestTotal):
        def make(self) -> Any:
            return specimen(broken)()

    with pytest.raises(FAILURES, match=message):
        getattr(Suite(), f"test_{check}")()


@pytest.mark.parametrize(("broken", "error"), [("KeepsObjects", "a set cannot be saved"), ("RaisesKeyErrors", "count")])
def test_an_error_of_another_kind_is_no_refusal(broken: str, error: str) -> None:
    class Suite(TestTotal):
        def make(self) -> Any:
            return specimen(broken)()

    with pytest.raises(Exception, match=error):
        Suite().test_a_state_that_does_not_fit_is_refused_and_changes_nothing()


def test_a_suite_without_a_name_says_what_to_do() -> None:
    with pytest.raises(AssertionError, match="set `name` to the registered name of the logger"):
        LoggerConformance().test_is_a_logger()
