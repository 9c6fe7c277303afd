from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.policy import Agent, PolicyInterface
from puffer_core.errors import UnsupportedError
from puffer_core.evaluation import Evaluation, EvaluationStopped, evaluate, shares
from puffer_core.numpy_backend import NumpyBackend


def agent(plans: ModuleType, env: Any, bias: float = 5.0, memory: bool = False) -> Agent:
    """A policy that goes right where `bias` is large, whatever it sees."""
    parts = plans.parts()
    interface = PolicyInterface(observation=env.spec.observation, action=env.spec.action)
    policy = parts.Linear(parts.LinearConfig(memory=memory), interface)
    params = {"weight": np.zeros((2, 2), np.float32), "bias": np.array([0.0, bias], np.float32)}
    return Agent(policy, params)


def run(plans: ModuleType, rows: int, *, bias: float = 5.0, **rest: Any) -> Evaluation:
    env = plans.parts().Walk(rows)
    return evaluate(agent(plans, env, bias), NumpyBackend(), env, **({"episodes": 20, "seed": 0} | rest))


@pytest.mark.parametrize(("episodes", "rows"), [(1, 1), (7, 3), (20, 20), (20, 32), (3, 8)])
def test_exactly_the_episodes_asked_for_are_played(plans: ModuleType, episodes: int, rows: int) -> None:
    found = run(plans, rows, episodes=episodes)
    assert found.episodes == len(found.lengths) == episodes
    assert sum(shares(episodes, rows)) == episodes
    assert max(shares(episodes, rows)) - min(shares(episodes, rows)) <= 1


def test_short_episodes_count_no_more_often_than_long_ones(plans: ModuleType) -> None:
    # The walk's return is its length, uniform on 1..5. Taking the first 400 to end of 200 rows would give about 2.2.
    found = run(plans, 200, episodes=400)
    assert found.mean_return == found.mean_length
    assert abs(found.mean_return - 3.0) < 4 * np.sqrt(2.0 / 400)


def test_figures_are_those_of_the_episodes(plans: ModuleType) -> None:
    found = run(plans, 4)
    assert found.mean_return == pytest.approx(np.mean(found.returns))
    assert found.std_return == pytest.approx(np.std(found.returns))
    assert found.summary() == {
        "mean_return": found.mean_return,
        "std_return": found.std_return,
        "mean_length": found.mean_length,
        "episodes": 20,
        "seed": 0,
        "deterministic": True,
        "cut": 0,
        "interval_95": None,
    }


def test_a_seed_repeats_itself_and_another_does_not(plans: ModuleType) -> None:
    one, same, other = (run(plans, 4, seed=seed, deterministic=False, bias=0.0) for seed in (1, 1, 2))
    assert np.array_equal(one.returns, same.returns)
    assert not np.array_equal(one.returns, other.returns)


def test_sampling_differs_from_the_mode(plans: ModuleType) -> None:
    assert run(plans, 4, bias=0.5).mean_return == run(plans, 4, bias=0.5).mean_length
    sampled = run(plans, 4, bias=0.5, deterministic=False)
    assert sampled.mean_return < sampled.mean_length


def test_parameters_and_statistics_stay_as_they_are(plans: ModuleType) -> None:
    env = plans.parts().Walk(3)
    mine = agent(plans, env)
    before = {name: value.copy() for name, value in mine.params.items()}
    evaluate(mine, NumpyBackend(), env, episodes=6, seed=0)
    assert all(np.array_equal(before[name], mine.params[name]) for name in before)


def test_memory_starts_anew_with_every_episode(plans: ModuleType) -> None:
    env = plans.parts().Walk(4, length=4)
    mine = agent(plans, env, memory=True)
    seen: list[tuple[Any, Any]] = []
    apply = mine.policy.apply

    def watched(ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        outputs, after = apply(ops, params, inputs, carry, reset, rng)
        expected = np.where(reset[0][:, None], 0.0, carry[0]) + inputs["observation"][0]
        assert np.array_equal(after[0], expected)
        assert np.array_equal(reset[0], inputs["observation"][0][:, 0] == 0)  # this policy leaves 0 at once
        seen.append((carry, reset))
        return outputs, after

    mine.policy.apply = watched  # type: ignore[method-assign]
    evaluate(mine, NumpyBackend(), env, episodes=12, seed=0)
    assert len(seen) > 3


def test_it_stops_when_told(plans: ModuleType) -> None:
    asked = iter([False, False, True])
    with pytest.raises(EvaluationStopped):
        run(plans, 2, should_stop=lambda: next(asked))


@pytest.mark.parametrize("name", ["action_mask", "global_state", "anything"])
def test_an_input_that_the_env_does_not_give_is_named(plans: ModuleType, name: str) -> None:
    env = plans.parts().Walk(2)
    mine = agent(plans, env)
    mine.policy.inputs = frozenset({"observation", name})
    with pytest.raises(UnsupportedError, match=f"reads {name}, which the env walk does not give"):
        evaluate(mine, NumpyBackend(), env, episodes=1, seed=0)


def test_previous_actions_and_rewards_are_those_of_the_episode(plans: ModuleType) -> None:
    env = plans.parts().Walk(3)
    mine = agent(plans, env)
    mine.policy.inputs = frozenset({"observation", "previous_action", "previous_reward"})
    seen: list[Any] = []
    apply = mine.policy.apply

    def watched(ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        seen.append((reset[0].copy(), inputs["previous_action"][0].copy(), inputs["previous_reward"][0].copy()))
        return apply(ops, params, inputs, carry, reset, rng)

    mine.policy.apply = watched  # type: ignore[method-assign]
    evaluate(mine, NumpyBackend(), env, episodes=9, seed=0)
    for reset, action, reward in seen:
        assert np.array_equal(action, ~reset)  # it always goes right, which is action 1 and reward 1
        assert np.array_equal(reward, ~reset)


def test_the_interval_of_the_mean_is_that_of_its_standard_error(plans: ModuleType) -> None:
    found = run(plans, 4, episodes=400)
    low, high = found.summary()["interval_95"]
    half = 1.96 * np.std(found.returns, ddof=1) / 20
    assert (low, high) == pytest.approx((found.mean_return - half, found.mean_return + half), rel=1e-4)
