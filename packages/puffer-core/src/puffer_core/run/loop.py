"""The loop around a trainer's updates: metrics, evaluation, checkpoints, events, signals."""

from __future__ import annotations

import math
import sys
from contextlib import closing, redirect_stdout
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from puffer_core.checkpoint import step_name
from puffer_core.contracts.logger import MetricLogger, RunInfo
from puffer_core.contracts.policy import Agent
from puffer_core.contracts.trainer import Metrics
from puffer_core.errors import PufferError
from puffer_core.evaluation import Evaluation, EvaluationStopped, evaluate
from puffer_core.guests import working_directory_kept
from puffer_core.metrics import JsonlLogger, LoggerFanout
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost
from puffer_core.run import persistence
from puffer_core.run.context import EVALUATION_ROWS, RunContext
from puffer_core.run.directory import Run, RunDirectory
from puffer_core.run.signals import RunStopped, StopFlag, stop_on_signals

if TYPE_CHECKING:
    from puffer_core.vector.choosing import Choice

_EVALUATED = ("eval/return", "eval/return_std", "eval/length", "time/eval")


class Display(Protocol):
    """Shows a run while it goes on; calls come from the loop, and must be cheap."""

    def start(self, run: RunInfo, total: int) -> None:
        """The run begins; `total` is where it ends, in its unit."""
        ...

    def update(self, step: int, metrics: Metrics) -> None:
        """An update ended."""
        ...

    def message(self, text: str) -> None:
        """Something that must be seen."""
        ...

    def note(self, text: str) -> None:
        """Something that is good to know."""
        ...

    def end(self, run: Run | None) -> None:
        """The run ended; None if it failed or was stopped."""
        ...


class Silent:
    """A display that shows nothing but messages, on stderr."""

    def note(self, text: str) -> None:
        """Nothing."""

    def start(self, run: RunInfo, total: int) -> None:
        """Nothing."""

    def update(self, step: int, metrics: Metrics) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """One line on stderr."""
        print(text, file=sys.stderr)  # noqa: T201

    def end(self, run: Run | None) -> None:
        """Nothing."""


def execute(plan: RunPlan, host: PluginHost, *, display: Display | None = None) -> Run:
    """Train as planned, in a directory of the run's own.

    Args:
        plan: every choice of the run.
        host: loads the components and is told of events.
        display: shows the progress; nothing is shown where None.

    Returns:
        The run, with its last evaluation. Every update is a line of `metrics.jsonl`.

    Raises:
        RunStopped: a signal ended the run; it was saved before.
        PufferError: as its components raise; a loss that is not finite.
    """
    shown: Display = display or Silent()
    options = plan.options
    with (
        RunDirectory(options.run, plan.trainer.spec.name, plan.source) as directory,
        redirect_stdout(sys.stderr),  # what an env prints; the display has its own stream
        working_directory_kept(),
        stop_on_signals() as stop,
        closing(RunContext(plan, host, partial(tell_choice, directory, shown))) as context,
    ):
        directory.describe(plan.tree, host.describe())
        return _Loop(context, directory, shown, stop).run()


def tell_choice(directory: RunDirectory, display: Display, choice: Choice) -> None:
    """Keep what `--vector.mode auto` became, and say so where it is not the plain loop."""
    directory.keep_vector(choice.to_json())
    if choice.uses_processes:
        display.note(f"vector: {choice}")


class _Loop:
    """One run, from its first update to its end."""

    def __init__(self, context: RunContext, directory: RunDirectory, display: Display, stop: StopFlag) -> None:
        self.context, self.plan, self.host = context, context.plan, context.host
        self.directory, self.display, self.stop = directory, display, stop
        self.trainer = context.trainer()
        self.total = self.plan.options.total_steps
        self.info = RunInfo(
            id=directory.path.name,
            directory=directory.path,
            trainer=self.plan.trainer.spec.name,
            source=self.plan.source,
            config=self.plan.tree,
            unit=self.trainer.unit,
        )
        self.loggers = LoggerFanout(self._build_loggers(), display.message)
        self.evaluation: Evaluation | None = None
        self.saved: Path | None = None
        self.began = perf_counter()

    def _build_loggers(self) -> dict[str, MetricLogger]:
        chosen = {name: self.context.logger(part) for name, part in self.plan.loggers.items() if name != "jsonl"}
        return {"jsonl": JsonlLogger(), **chosen}

    def run(self) -> Run:
        status = "failed"
        finished: Run | None = None
        self.loggers.open(self.info, None)
        self.host.notify("puffer_run_start", run=self.info)
        self.display.start(self.info, self.total)
        try:
            self.directory.keep_workers(self.context.worker_pids)
            while self.trainer.progress < self.total and not self.stop:
                self._update()
            if self.stop:
                status = "stopped"
                raise RunStopped(self.stop.signum, self.trainer.progress, self.directory.path, self._save())
            self._save()
            finished = Run(self.directory.path, self.evaluation)
            status = "finished"
        finally:
            self.loggers.close()
            self.host.notify("puffer_run_end", run=self.info, step=self.trainer.progress, status=status)
            self.display.end(finished)
        return finished

    def _update(self) -> None:
        """One update and everything that is due after it."""
        options, before, start = self.plan.options, self.trainer.progress, perf_counter()
        self.stop.renew()
        with working_directory_kept():
            metrics = self.trainer.update()
        seconds, step = perf_counter() - start, self.trainer.progress
        self.directory.keep_workers(self.context.worker_pids)
        if self.context.collects is not None:
            metrics |= self.context.collects.metrics()
        _check_finite(metrics, step)
        metrics |= self._times(metrics, step - before, seconds)
        self.display.update(step, metrics)
        if self.plan.env is not None:
            metrics |= self._evaluate(step, due=step >= self.total or _passed(options.eval_every, before, step))
        self.loggers.log(step, metrics)
        self.host.notify("puffer_update_end", run=self.info, step=step, metrics=metrics)
        if _passed(options.checkpoint_every, before, step):
            self._save()

    def _times(self, metrics: Metrics, steps: int, seconds: float) -> Metrics:
        acting = metrics.get("time/env", 0.0) + metrics.get("time/policy", 0.0)
        return {
            "time/learn": max(0.0, seconds - acting),
            "time/update": seconds,
            "time/steps_per_second": steps / seconds if seconds else math.nan,
            "time/wall": perf_counter() - self.began,
        }

    def _evaluate(self, step: int, *, due: bool) -> Metrics:
        """The evaluation's metrics; NaN where none is due, or a signal ended it."""
        nothing = dict.fromkeys(_EVALUATED, math.nan)
        if not due or self.stop:
            return nothing
        start = perf_counter()
        try:
            with working_directory_kept():
                self.evaluation = evaluate_agent(self.context, self.trainer.agent, self.stop)
        except EvaluationStopped:
            return nothing
        except Exception:
            self._save()  # what was learned must not be lost to an evaluation that fails
            raise
        figures = (self.evaluation.mean_return, self.evaluation.std_return, self.evaluation.mean_length)
        metrics = dict(zip(_EVALUATED, (*figures, perf_counter() - start), strict=True))
        self.host.notify("puffer_eval_end", run=self.info, step=step, metrics=metrics)
        return metrics

    def _save(self) -> Path:
        """The checkpoint of the present step, written unless it is there already."""
        step = self.trainer.progress
        if self.saved is None or self.saved.name != step_name(step):
            self.saved = persistence.save(self.context, self.trainer, self.directory)
            self.host.notify("puffer_checkpoint_saved", run=self.info, step=step, path=self.saved)
        return self.saved


def evaluate_agent(context: RunContext, agent: Agent, stop: StopFlag) -> Evaluation:
    """Evaluate a run's agent as the run's options say, in envs of its own, whose seed depends on the run's alone."""
    backend, acting = context.backend, context.acting_backend
    params = agent.params if acting is backend else acting.to_device(backend.to_numpy(agent.params))
    episodes = context.plan.options.eval_episodes
    with closing(context.make_env(min(episodes, EVALUATION_ROWS))) as env:
        seed = context.streams.fixed("evaluation")
        return evaluate(
            Agent(agent.policy, params), acting, env, episodes=episodes, seed=seed, should_stop=stop.__bool__
        )


def _passed(every: int, before: int, step: int) -> bool:
    """Whether a multiple of `every` lies in `before < multiple <= step`; never where `every` is 0."""
    return every > 0 and step // every > before // every


def _check_finite(metrics: Metrics, step: int) -> None:
    for name, value in metrics.items():
        if name.startswith("loss/") and not math.isfinite(value):
            raise PufferError(
                f"{name} is {value} after the update that ended at step {step:,}; nothing of it was saved",
                remedy="lower the learning rate, or look for rewards and observations that are huge or not finite",
            )
