"""N1: an update that gives numbers that are not finite never was; three in a row end the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from puffer_core.arrays import map_tree
from puffer_core.checkpoints.reading import load
from puffer_core.config import resolve
from puffer_core.nonfinite import NotFiniteError
from puffer_core.plugins import PluginHost, Provided
from puffer_core.run.context import RunContext
from puffer_core.run.loop import execute
from puffer_core.specs import EnvSpec
from puffer_testing.loading import load_module

HORIZON = 8
OPTIONS: dict[str, Any] = {
    "horizon": HORIZON,
    "minibatches": 2,
    "epochs": 2,
    "total_steps": 6 * HORIZON * 4,
    "eval_episodes": 2,
    "vector": {"num_envs": 4},
    "policy": {"hidden_sizes": [8], "normalize_observation": True},
    "normalize_reward": True,
}
OBSERVATION, NAN_REWARD, INFINITE_REWARD = 1, 2, 3
SICK = "puffer_ppo_sick"


@pytest.fixture(scope="module")
def host() -> PluginHost:
    """Every plugin, and the env `sick`."""
    load_module(Path(__file__).with_name("sick.py"), SICK)
    host = PluginHost.discover(third_party=False, environ={})
    env = EnvSpec(name="sick", summary="", target=f"{SICK}:batch", interface="vector")
    host._provided.append(Provided(env, "puffer-sick", "1.0"))
    return host


@pytest.fixture
def make(host: PluginHost) -> Any:
    """Trainers on envs that are sick from one rollout until before another, counted from 0."""
    with ExitStack() as contexts:

        def make(where: int, first: int = 0, last: int = 0, **options: Any) -> Any:
            env = {"where": where, "begin": first * HORIZON + 3, "end": last * HORIZON}
            plan = resolve(host, "ppo", "sick", overrides=OPTIONS | {"env": env} | options, environ={})
            context = RunContext(plan, host)
            contexts.callback(context.close)
            return context.trainer()

        yield make


def learned(trainer: Any) -> Any:
    """Parameters, optimizer state and running returns, in memory of their own."""
    state = trainer.state_dict()
    return map_tree(np.array, {name: state[name] for name in ("params", "optimizer", "running_return")})


def same(one: Any, other: Any) -> None:
    map_tree(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("where", [OBSERVATION, NAN_REWARD, INFINITE_REWARD])
def test_an_update_from_bad_numbers_is_undone_and_counted(make: Callable[..., Any], where: int) -> None:
    trainer = make(where, 1, 2)
    first = trainer.update()
    before = learned(trainer)
    second = trainer.update()
    same(learned(trainer), before)
    assert trainer.progress == 2 * 4 * HORIZON
    assert first.keys() == second.keys()
    assert (first["update/skipped"], second["update/skipped"]) == (0.0, 1.0)
    assert all(math.isnan(second[name]) for name in second if name not in ("update/skipped", "learning_rate"))
    assert all(map(math.isfinite, first.values()))


def test_the_update_after_it_is_as_if_it_never_was(make: Callable[..., Any]) -> None:
    skipped, never = (make(NAN_REWARD, 1, 2) for _ in range(2))
    skipped.update()
    skipped.update()
    never.update()
    never._collector.collect(never._params)  # the same second rollout, but nothing is learned from it
    never._draw_order()
    third = skipped.update()
    expected = never.update()
    assert (third.pop("update/skipped"), expected.pop("update/skipped")) == (1.0, 0.0)
    assert third == expected
    same(learned(skipped), learned(never))


def test_three_in_a_row_name_what_was_not_finite_first(make: Callable[..., Any]) -> None:
    trainer = make(OBSERVATION, 0, 100)
    before = learned(trainer)
    trainer.update()
    trainer.update()
    with pytest.raises(NotFiniteError, match="3 updates in a row") as failed:
        trainer.update()
    assert "the observation of step 0, row 0 (nan)" in failed.value.first
    same(learned(trainer), before)


def test_a_reward_is_told_from_an_observation(make: Callable[..., Any]) -> None:
    trainer = make(INFINITE_REWARD, 0, 100)
    with pytest.raises(NotFiniteError) as failed:
        [trainer.update() for _ in range(3)]
    assert failed.value.first.startswith("the reward of step 0, row 0 (inf)")


def test_a_learning_rate_that_is_far_too_large_is_found_in_the_loss(make: Callable[..., Any]) -> None:
    trainer = make(0, learning_rate=1e38)
    with pytest.raises(NotFiniteError) as failed:
        [trainer.update() for _ in range(3)]
    assert failed.value.first.startswith("the loss (loss/")
    assert "--learning-rate" in failed.value.remedy
    assert all(np.isfinite(value).all() for value in learned(trainer)["params"].values())


def test_good_updates_between_bad_ones_end_the_row(make: Callable[..., Any]) -> None:
    trainer = make(NAN_REWARD, 1, 2)
    [trainer.update() for _ in range(5)]
    assert trainer.state_dict()["guard"]["in_a_row"] == 0


def test_the_count_goes_on_after_a_resume(make: Callable[..., Any]) -> None:
    trainer, again = make(NAN_REWARD, 1, 2), make(0)
    counts = [trainer.update()["update/skipped"] for _ in range(3)]
    again.load_state_dict(trainer.state_dict())
    assert again.update()["update/skipped"] == counts[-1] == 1.0


def test_a_run_skips_and_goes_on(host: PluginHost, tmp_path: Path) -> None:
    env = {"where": NAN_REWARD, "begin": HORIZON + 3, "end": HORIZON + 4}
    options = OPTIONS | {"env": env, "run": str(tmp_path / "r"), "checkpoint_every": 1, "keep_last": 0}
    run = execute(resolve(host, "ppo", "sick", overrides=options, environ={}), host)
    assert [line["update/skipped"] for line in run.metrics] == [0, 1, 1, 1, 1, 1]
    assert [math.isnan(line["loss/policy"]) for line in run.metrics] == [False, True, False, False, False, False]
    assert len(run.checkpoints) == 6
    assert all(load(path).manifest.nonfinite == [] for path in run.checkpoints)


def test_a_run_that_cannot_go_on_leaves_a_dump(host: PluginHost, tmp_path: Path) -> None:
    env = {"where": OBSERVATION, "begin": HORIZON + 3, "end": 10**6}
    options = OPTIONS | {"env": env, "run": str(tmp_path / "r"), "checkpoint_every": 1}
    with pytest.raises(NotFiniteError) as failed:
        execute(resolve(host, "ppo", "sick", overrides=options, environ={}), host)
    (dump,) = (tmp_path / "r" / "dumps").iterdir()
    assert str(dump) in failed.value.remedy
    note = json.loads((dump / "note.json").read_bytes())
    assert note["first"] == failed.value.first
    rollout, params = (load_file(dump / f"{name}.safetensors") for name in ("rollout", "parameters"))
    assert np.isnan(rollout["inputs/observation"]).sum() == note["not_finite"]["rollout/inputs/observation"]
    assert all(np.isfinite(value).all() for value in params.values())
    last = json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["update/skipped"] == 2
