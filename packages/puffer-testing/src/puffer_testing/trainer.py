"""The conformance suite of the Trainer contract.

from puffer_testing import TrainerConformance

class TestMine(TrainerConformance):
    name = "mine"
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import puffer_core
from puffer_core.arrays import named_leaves
from puffer_core.checkpoints.reading import load
from puffer_core.checkpoints.statefile import encode
from puffer_core.config import resolve
from puffer_core.contracts.policy import Agent
from puffer_core.contracts.trainer import Trainer, Unit
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.persistence import restore, save
from puffer_core.run.record import RunRecord
from puffer_testing.checkpointable import refuses
from puffer_testing.components import host


class TrainerConformance:
    """Everything that the Trainer contract promises. Set `name`, and options that make an update short."""

    name = ""
    """As registered with the plugin host."""
    env = "cartpole"
    """Env to learn in; one that can snapshot, or a resumed run is not compared bit for bit."""
    options: dict[str, Any] = {}
    """Options of the run, as `puffer_core.train` takes them."""
    total_steps = 100_000

    @pytest.fixture
    def contexts(self) -> Iterator[ExitStack]:
        with ExitStack() as stack:
            yield stack

    def make(self, contexts: ExitStack, **changes: Any) -> tuple[Trainer, RunContext]:
        """A trainer in a context of its own; `changes` override `options`."""
        overrides = {"total_steps": self.total_steps, **self.options, **changes}
        plan = resolve(host(), self.name, self.env, overrides=overrides, environ={})
        context = contexts.enter_context(closing(RunContext(plan, host())))
        return context.trainer(), context

    def test_is_a_trainer(self, contexts: ExitStack) -> None:
        trainer, _ = self.make(contexts)
        assert isinstance(trainer, Trainer), "it lacks something of `puffer_core.Trainer`"
        assert trainer.unit in get_args(Unit), f"unit is {trainer.unit!r}, expected one of {get_args(Unit)}"

    def test_progress_grows_with_every_update(self, contexts: ExitStack) -> None:
        trainer, _ = self.make(contexts)
        seen = [trainer.progress]
        for _ in range(3):
            trainer.update()
            seen.append(trainer.progress)
        assert seen[0] == 0
        assert all(isinstance(step, int) for step in seen)
        assert sorted(set(seen)) == seen, f"progress was {seen}"

    def test_metrics_are_finite_floats_under_fixed_names(self, contexts: ExitStack) -> None:
        trainer, _ = self.make(contexts)
        updates = [trainer.update() for _ in range(3)]
        for update in updates:
            assert update.keys() == updates[0].keys(), (
                f"metrics have other names: {sorted(update.keys() ^ updates[0].keys())}"
            )
        for name, value in updates[-1].items():
            assert isinstance(value, float), f"{name} is a {type(value).__name__}"
            assert not name.startswith("time/"), f"{name}: a trainer reads no clock"
            assert math.isfinite(value), f"{name} is {value}"

    def test_the_agent_acts(self, contexts: ExitStack) -> None:
        trainer, context = self.make(contexts)
        trainer.update()
        agent = trainer.agent
        assert isinstance(agent, Agent)
        names = set(agent.policy.init(np.random.default_rng(0)))
        assert names <= set(agent.params), f"the agent lacks parameters {sorted(names - set(agent.params))}"
        assert context.provides(agent.policy), "the agent's policy must be the context's, or no checkpoint can name it"

    def test_the_seed_decides_everything(self, contexts: ExitStack) -> None:
        first, second, other = (self.make(contexts, seed=seed)[0] for seed in (3, 3, 4))
        for trainer in (first, second, other):
            trainer.update()
            trainer.update()
        assert self._files(first) == self._files(second), "the same seed gave another state"
        assert self._files(first) != self._files(other), "another seed gave the same state"

    def test_parameters_are_flat_in_the_state(self, contexts: ExitStack) -> None:
        trainer, _ = self.make(contexts)
        params = trainer.state_dict()["params"]
        differ = sorted(set(params) ^ set(trainer.agent.params))
        assert not differ, f"the state's and the agent's parameters differ in {differ}"
        for name, value in params.items():
            assert hasattr(value, "shape"), f"{name} is a {type(value).__name__}"

    def test_a_restored_trainer_goes_on_as_the_first_would_have(self, contexts: ExitStack, tmp_path: Path) -> None:
        trainer, context = self.make(contexts)
        trainer.update()
        with RunDirectory(str(tmp_path / "run"), self.name, self.env) as directory:
            saved = load(save(context, trainer, RunRecord(), directory))
        fresh, second = self.make(contexts)
        restore(second, fresh, RunRecord(), saved)
        trainer.update()
        fresh.update()
        assert fresh.progress == trainer.progress
        if context.env.snapshot:
            self._assert_same(fresh, trainer)

    def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(self, contexts: ExitStack) -> None:
        trainer, other = self.make(contexts)[0], self.make(contexts, seed=3)[0]
        other.update()
        before, state = self._files(trainer), other.state_dict()
        params = {name: np.asarray(value) for name, value in state["params"].items()}
        first = min(params)
        misfits = {f"without {key!r}": {k: v for k, v in state.items() if k != key} for key in state}
        misfits["with a parameter too few"] = {**state, "params": {k: v for k, v in params.items() if k != first}}
        misfits["with a parameter too many"] = {**state, "params": {**params, "no-such-parameter": params[first]}}
        misfits["with a parameter of another shape"] = {**state, "params": {**params, first: params[first][None]}}
        for what, misfit in misfits.items():
            assert refuses(trainer, misfit), f"a state {what} was taken, expected CheckpointError"
            assert self._files(trainer) == before, f"a state {what} was refused, but partly loaded"

    def test_a_run_leaves_metrics_and_a_checkpoint(self, tmp_path: Path) -> None:
        directory = tmp_path / "run"
        options = {**self.options, "total_steps": 1, "eval_episodes": 2, "run": str(directory)}
        run = puffer_core.train(self.name, env=self.env, **options)
        lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
        assert len(lines) == 1
        assert run.latest.is_dir()
        assert puffer_core.evaluate(run, episodes=2).episodes == 2

    def _files(self, trainer: Trainer) -> dict[str, bytes]:
        return encode(trainer.state_dict())

    def _assert_same(self, got: Trainer, expected: Trainer) -> None:
        """Bit for bit, names and numbers."""
        found, wanted = dict(named_leaves(got.state_dict())), dict(named_leaves(expected.state_dict()))
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(value), err_msg=name)
