"""Which modes are compared, how, and which of them is proposed."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import UsageError
from puffer_core.plan import VectorConfig
from puffer_core.specs import EnvSpec
from puffer_core.vector import SerialVectorEnv
from puffer_core.vector.benchmark import Measurement, best, candidates, doubling, measure_modes, rate
from puffer_core.vector.choosing import described


def env_spec(**rest: Any) -> EnvSpec:
    return EnvSpec(name="any", summary="", target="a:b", **rest)


def named(spec: EnvSpec, num_envs: int, cores: int) -> list[str]:
    return [described(vector) for vector in candidates(spec, num_envs, cores)]


def cartpoles(vector: VectorConfig) -> VectorEnv:
    return SerialVectorEnv(lambda: gymnasium.make("CartPole-v1"), vector.num_envs, id="CartPole-v1")


def test_an_env_that_may_crash_is_never_stepped_here() -> None:
    isolated = env_spec(capabilities=frozenset({"isolated"}))
    assert named(isolated, 8, 2) == ["process, 1 worker", "process, 2 workers"]


def test_a_batch_of_its_own_has_no_serial_mode() -> None:
    assert named(env_spec(interface="vector"), 2, 2)[:2] == ["native", "process, 1 worker beside the main process"]


def test_no_more_workers_than_environments() -> None:
    assert named(env_spec(), 1, 8) == ["serial", "native", "process, 1 worker"]


def test_one_core_still_shows_what_a_worker_costs() -> None:
    assert "process, 1 worker beside the main process" in named(env_spec(), 8, 1)


def test_many_cores_are_tried_by_doubling() -> None:
    assert doubling(63) == [1, 2, 4, 8, 16, 32, 63]


def test_rates_count_every_environment() -> None:
    env = cartpoles(VectorConfig(num_envs=4))
    assert rate(env, seconds=0.01) > 100


def test_a_mode_that_does_not_exist_is_left_out() -> None:
    def make(vector: VectorConfig) -> VectorEnv:
        if vector.mode == "native":
            raise UsageError("no such mode")
        return cartpoles(vector)

    modes = [VectorConfig(num_envs=1, mode=mode) for mode in ("native", "serial")]
    assert [one.vector.mode for one in measure_modes(make, modes, 0.001)] == ["serial"]


def test_where_none_exists_the_first_says_why() -> None:
    def make(vector: VectorConfig) -> VectorEnv:
        raise UsageError(f"no {vector.mode}")

    modes = [VectorConfig(num_envs=1, mode=mode) for mode in ("serial", "native")]
    with pytest.raises(UsageError, match="no serial"):
        list(measure_modes(make, modes, 0.001))


def test_of_equals_the_simplest_is_proposed() -> None:
    rates = [("serial", 96.0), ("native", 90.0), ("process", 100.0)]
    measured = [Measurement(VectorConfig(mode=mode), rate) for mode, rate in rates]
    assert best(measured).vector.mode == "serial"
    assert best(measured[1:]).vector.mode == "process"


def test_json_has_the_ratio_and_the_largest_share() -> None:
    kept = Measurement(VectorConfig(num_envs=7, mode="process", workers=1), 30.0).to_json(base=20.0)
    assert (kept["ratio"], kept["envs_per_worker"], kept["workers"]) == (1.5, 4, 1)
