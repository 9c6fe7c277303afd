"""What `auto` becomes: a model for every machine, and a look at real envs on this one."""

from __future__ import annotations

from typing import Any

import pytest

from puffer_core.errors import EnvError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec
from puffer_core.vector.choosing import Choice, choose, largest_share, propose
from puffer_core.vector.gymnasium import make, resolve


def cartpole() -> Provided:
    spec = resolve("CartPole-v1")
    assert spec is not None
    return Provided(spec, "puffer-core", "0.1.0")


def described(spec: EnvSpec, **vector: Any) -> Choice | None:
    """The choice for an env that is never made."""
    return choose(Provided(spec, "here", "1.0"), None, {}, VectorConfig(**vector), cores=4)


class TestPropose:
    """The model."""

    def test_a_costly_step_is_shared_with_the_main_process(self) -> None:
        choice = propose(100e-6, 7056, 8, cores=2)
        assert str(choice) == "process, 1 worker beside the main process (a step costs 100 us)"
        assert (choice.vector.mode, choice.vector.workers, largest_share(choice.vector)) == ("process", 1, 4)

    def test_a_cheap_step_stays(self) -> None:
        assert propose(8e-6, 16, 8, cores=64).vector.mode == "serial"

    def test_many_cheap_steps_go(self) -> None:
        assert propose(8e-6, 16, 1024, cores=2).vector.mode == "process"

    def test_a_short_run_does_not_earn_the_start_of_workers(self) -> None:
        assert propose(8e-6, 16, 1024, cores=2, env_steps=100_000).vector.mode == "serial"
        assert propose(8e-6, 16, 1024, cores=2, env_steps=1_000_000).vector.mode == "process"

    def test_huge_observations_of_cheap_steps_stay(self) -> None:
        assert propose(20e-6, 16, 64, cores=2).vector.mode == "process"
        assert propose(20e-6, 200_000, 64, cores=2).vector.mode == "serial"

    @pytest.mark.parametrize(
        ("envs", "cores", "workers"), [(8, 4, 3), (8, 6, 3), (2, 64, 1), (1000, 64, 62), (3, 2, 1)]
    )
    def test_no_more_workers_than_help(self, envs: int, cores: int, workers: int) -> None:
        assert propose(1e-3, 16, envs, cores).vector.workers == workers

    def test_isolated_environments_need_two_workers_to_gain(self) -> None:
        assert propose(1e-3, 16, 8, 3, vector=VectorConfig(isolate=True)).vector.workers == 2

    @pytest.mark.parametrize(("envs", "cores"), [(8, 1), (1, 8)])
    def test_nothing_to_share(self, envs: int, cores: int) -> None:
        assert propose(1.0, 16, envs, cores).vector.mode == "serial"

    def test_an_env_that_is_a_batch_stays_one(self) -> None:
        assert propose(1e-6, 16, 8, 2, alone="native").vector.mode == "native"

    def test_the_rest_of_the_configuration_is_kept(self) -> None:
        assert propose(1e-3, 16, 8, 2, vector=VectorConfig(timeout=3.0)).vector.timeout == 3.0

    @pytest.mark.parametrize("seconds", [1e-7, 1e-5, 1e-4, 1e-2, 10.0])
    @pytest.mark.parametrize("envs", [1, 2, 7, 64, 1000])
    @pytest.mark.parametrize("cores", [1, 2, 3, 96])
    def test_workers_fit_the_machine_and_the_batch(self, seconds: float, envs: int, cores: int) -> None:
        vector = propose(seconds, 100, envs, cores).vector
        assert vector.num_envs == envs
        assert vector.workers < min(envs, cores) if vector.mode == "process" else vector.workers == 0
        assert largest_share(vector) * (vector.workers + 1) >= envs


class TestChoose:
    """What was asked for, and the look."""

    def test_another_mode_than_auto_is_nobody_elses_business(self) -> None:
        assert choose(cartpole(), make, {}, VectorConfig(mode="serial")) is None

    def test_a_native_env_is_not_looked_at(self) -> None:
        assert described(EnvSpec(name="fast", summary="", target="a:b", interface="vector")) is None

    def test_the_env_is_measured(self) -> None:
        choice = choose(cartpole(), make, {}, VectorConfig(num_envs=2))
        assert choice is not None
        assert choice.step_seconds is not None
        assert 1e-7 < choice.step_seconds < 1.0
        assert choice.vector.num_envs == 2

    @pytest.mark.parametrize(
        ("vector", "line"),
        [
            ({"workers": 2}, "process, 2 workers beside the main process (as asked)"),
            ({"isolate": True}, "process, 4 workers (no environment in the main process)"),
            ({"isolate": True, "num_envs": 3}, "process, 3 workers (no environment in the main process)"),
            ({"batches": 2}, "process, 4 workers (two batches, one stepped while the policy acts in the other)"),
        ],
    )
    def test_who_asks_for_workers_gets_them(self, vector: dict[str, Any], line: str) -> None:
        choice = described(EnvSpec(name="any", summary="", target="a:b"), **vector)
        assert str(choice) == line

    def test_an_env_that_may_crash_is_kept_out_of_this_process(self) -> None:
        spec = EnvSpec(name="wild", summary="", target="a:b", capabilities=frozenset({"isolated"}))
        choice = described(spec)
        assert choice is not None
        assert (choice.vector.mode, choice.vector.isolate, choice.step_seconds) == ("process", True, None)

    def test_one_core_needs_no_look(self) -> None:
        choice = choose(cartpole(), None, {}, VectorConfig(), cores=1)
        assert choice is not None
        assert (choice.vector.mode, choice.reason) == ("serial", "one core")

    def test_an_env_that_cannot_be_made_says_why(self) -> None:
        def broken() -> None:
            raise OSError("no display")

        spec = EnvSpec(name="broken", summary="", target="a:b")
        with pytest.raises(EnvError, match="broken cannot be made: OSError: no display"):
            choose(Provided(spec, "here", "1.0"), broken, {}, VectorConfig(), cores=2)

    def test_an_env_that_fails_under_random_actions_is_left_to_the_run(self) -> None:
        import gymnasium

        class Fails(gymnasium.Env[Any, Any]):
            observation_space = action_space = gymnasium.spaces.Discrete(2)

            def reset(self, *, seed: Any = None, options: Any = None) -> Any:
                return 0, {}

            def step(self, action: Any) -> Any:
                raise RuntimeError("broke")

        spec = EnvSpec(name="fails", summary="", target="a:b")
        assert choose(Provided(spec, "here", "1.0"), Fails, {}, VectorConfig(), cores=2) is None

    def test_json_for_the_runs_directory(self) -> None:
        kept = propose(100e-6, 16, 8, cores=2).to_json()
        assert (kept["mode"], kept["workers"], kept["num_envs"], kept["step_seconds"]) == ("process", 1, 8, 100e-6)
