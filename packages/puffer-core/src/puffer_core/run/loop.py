"""The loop around a trainer's updates: metrics, evaluation, checkpoints, events, signals."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from puffer_core.checkpoints.reading import Checkpoint, step_name
from puffer_core.contracts.logger import MetricLogger, RunInfo
from puffer_core.contracts.trainer import Metrics
from puffer_core.errors import PufferError
from puffer_core.evaluation import EvaluationStopped
from puffer_core.guests import working_directory_kept
from puffer_core.loggers.fanout import RunLoggers
from puffer_core.nonfinite import DUMPS, SKIPPED, dumping
from puffer_core.plan import RunPlan
from puffer_core.plugins import PluginHost
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.crash import crash_reports
from puffer_core.run.directory import Run, RunDirectory
from puffer_core.run.display import Display, Silent
from puffer_core.run.evaluating import evaluate_agent
from puffer_core.run.record import RunRecord
from puffer_core.run.saving import Saver, passed
from puffer_core.run.signals import RunStopped, StopFlag, stop_on_signals
from puffer_core.run.system import SystemMetrics
from puffer_core.run.watchdog import Watchdog, remove_empty

if TYPE_CHECKING:
    from puffer_core.vector.choosing import Choice

_STOPPED_SECONDS = 15.0
"""Loggers of a run that was asked to stop get this long to end: whoever sent SIGTERM may send SIGKILL next."""
_EVALUATED = ("eval/return", "eval/return_std", "eval/length", "time/eval")


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
        ResourceError: memory ran out.
        PufferError: as its components raise; a loss that is not finite.
    """
    with RunDirectory(plan.options.run, plan.trainer.spec.name, plan.source) as directory:
        directory.describe(plan.tree, host.describe())
        return run_in(directory, plan, host, display=display)


def run_in(
    directory: RunDirectory,
    plan: RunPlan,
    host: PluginHost,
    *,
    display: Display | None = None,
    saved: Checkpoint | None = None,
    restored: Callable[[], object] = lambda: None,
) -> Run:
    """Train as planned in a directory that this process holds, from the start or from a checkpoint.

    Args:
        directory: of the run.
        plan: every choice of the run.
        host: loads the components and is told of events.
        display: shows the progress; nothing is shown where None.
        saved: where the run goes on, every component of it read; None for a run that begins.
        restored: called once everything has taken its state from `saved`, before the first update.

    Raises:
        RunStopped: a signal ended the run; it was saved before.
        CheckpointError: `saved` is not of such a run.
        ResourceError: memory ran out.
        PufferError: as its components raise; a loss that is not finite.
    """
    shown: Display = display or Silent()
    with (
        redirect_stdout(sys.stderr),  # what an env prints; the display has its own stream
        working_directory_kept(),
        stop_on_signals(partial(_leave, directory, shown)) as stop,
        crash_reports(directory.path, plan.tree, host),
        closing(RunContext(plan, host, partial(tell_choice, directory, shown))) as context,
        Watchdog(plan.options.stall_seconds, directory.path, context.worker_stacks, shown.message) as watchdog,
    ):
        loop = _Loop(context, directory, shown, stop, watchdog, saved)
        if saved is not None:
            restored()
        run = loop.run()
    if stop:  # whoever sent it is told by the exit code
        raise RunStopped(stop.signum, loop.trainer.progress, directory.path, run.latest, finished=True)
    return run


def _leave(directory: RunDirectory, display: Display) -> None:
    """The least that must be done before the process ends at once: the terminal, and what others would be misled by."""
    directory.keep_no_workers()
    remove_empty(directory.path)
    display.end(None)


def tell_choice(directory: RunDirectory, display: Display, choice: Choice) -> None:
    """Keep what `--vector.mode auto` became, and say so where it is not the plain loop."""
    directory.keep_vector(choice.to_json())
    if choice.uses_processes:
        display.note(f"vector: {choice}")


class _Loop:
    """One run, from its first update, or the one after a checkpoint, to its end."""

    def __init__(
        self,
        context: RunContext,
        directory: RunDirectory,
        display: Display,
        stop: StopFlag,
        watchdog: Watchdog,
        saved: Checkpoint | None,
    ) -> None:
        self.context, self.plan, self.host = context, context.plan, context.host
        self.directory, self.display, self.stop, self.watchdog = directory, display, stop, watchdog
        self.trainer = context.trainer()
        self.record = RunRecord()
        if saved is not None:
            persistence.restore(context, self.trainer, self.record, saved, instead=self._warn)
            saved.states.clear()  # or a replay buffer would be there twice while the run lasts
        self.info = RunInfo(
            id=directory.path.name,
            directory=directory.path,
            trainer=self.plan.trainer.spec.name,
            source=self.plan.source,
            config=self.plan.tree,
            unit=self.trainer.unit,
        )
        self.loggers = RunLoggers(self._build_loggers(), directory.path, display.message)
        self.system = SystemMetrics(lambda: context.worker_pids)
        self.saver = Saver(
            context,
            self.trainer,
            self.record,
            directory,
            options=self.plan.options,
            before_save=self.loggers.sync,
            saved=self._tell_saved,
            warn=display.message,
            last=saved.path if saved else None,
        )

    def _warn(self, text: str) -> None:
        self.display.message(f"warning: {text}")

    def _build_loggers(self) -> dict[str, MetricLogger]:
        return {name: self.context.logger(part) for name, part in self.plan.loggers.items() if name != "jsonl"}

    def run(self) -> Run:
        status = "failed"
        finished: Run | None = None
        self.loggers.open(self.info, self.record.logged if self.record.logged >= 0 else None)
        self.host.notify("puffer_run_start", run=self.info)
        self.display.start(self.info, self.plan.options.total_steps, self.trainer.progress)
        try:
            self.directory.keep_workers(self.context.worker_pids)
            if self.record.pending is not None:
                self._complete(due=True)
                self.saver.after_update(self.trainer.progress, self.trainer.progress)
            while not (self._done() or self.stop):
                self._update()
            path = self.saver.save()
            if not self._done():
                status = "stopped"
                raise RunStopped(self.stop.signum, self.trainer.progress, self.directory.path, path)
            finished = Run(self.directory.path, self.record.evaluation)
            status = "finished"
        finally:
            self.loggers.close(_STOPPED_SECONDS if self.stop else None)
            self.host.notify("puffer_run_end", run=self.info, step=self.trainer.progress, status=status)
            self.display.end(finished)
        return finished

    def _done(self) -> bool:
        """Whether training is over: all steps were taken and judged, or an evaluation reached the target."""
        return self.record.ended(self.trainer.progress, self.plan.options)

    def _update(self) -> None:
        """One update and everything that is due after it."""
        options, before, start = self.plan.options, self.trainer.progress, perf_counter()
        self.stop.renew()
        with working_directory_kept(), dumping(self.directory.path / DUMPS / step_name(before)):
            metrics = self.trainer.update()
        seconds, step = perf_counter() - start, self.trainer.progress
        self.watchdog.progressed()
        self.directory.keep_workers(self.context.worker_pids)
        if self.context.collects is not None:
            metrics |= self.context.collects.metrics()
        self._check_finite(metrics, step)
        metrics |= self._times(metrics, step - before, seconds)
        self.display.update(step, metrics)
        self.record.pending = metrics
        evaluates = step >= options.total_steps or passed(options.eval_every, before, step)
        self._complete(due=evaluates and self.plan.env is not None)
        self.saver.after_update(before, step)

    def _complete(self, *, due: bool) -> None:
        """Evaluate where that is due, and log the update; where a signal ends the evaluation, a resume does both."""
        step, metrics = self.trainer.progress, self.record.pending
        assert metrics is not None
        if due:
            evaluated = self._evaluate(step)
            if evaluated is None:
                return
            metrics |= evaluated
        elif self.plan.env is not None:
            metrics |= dict.fromkeys(_EVALUATED, math.nan)
        self.saver.judge(step, metrics)
        metrics |= self.loggers.metrics() | self.saver.metrics() | self.system.metrics()
        self.loggers.log(step, metrics)
        if due and self.record.evaluation is not None:
            self.loggers.artifact(step, "eval/returns", "histogram", self.record.evaluation.returns)
        self.record.logged, self.record.pending = step, None
        self.host.notify("puffer_update_end", run=self.info, step=step, metrics=metrics)

    def _check_finite(self, metrics: Metrics, step: int) -> None:
        """Say that a trainer undid its update; the net for trainers that do not.

        Raises:
            PufferError: a loss is not finite, and the update was not undone.
        """
        losses = {name: value for name, value in metrics.items() if name.startswith("loss/")}
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if not bad:
            return
        if SKIPPED not in metrics:
            raise PufferError(
                f"{bad[0]} is {losses[bad[0]]} after the update that ended at step {step:,}; nothing of it was saved",
                remedy="lower the learning rate, or look for rewards and observations that are huge or not finite",
            )
        skipped = int(metrics[SKIPPED])
        if skipped & (skipped - 1) == 0:  # the first, and ever more seldom
            self._warn(
                f"the update that ended at step {step:,} was undone, as something in it was not finite: "
                f"{skipped:,} so far, and three in a row end the run"
            )

    def _times(self, metrics: Metrics, steps: int, seconds: float) -> Metrics:
        acting = metrics.get("time/env", 0.0) + metrics.get("time/policy", 0.0)
        return {
            "time/learn": max(0.0, seconds - acting),
            "time/update": seconds,
            "time/steps_per_second": steps / seconds if seconds else math.nan,
            "time/wall": self.record.seconds,
        }

    def _evaluate(self, step: int) -> Metrics | None:
        """The evaluation's metrics; None where a signal ended it."""
        if self.stop:
            return None
        start = perf_counter()
        try:
            with working_directory_kept():
                found = evaluate_agent(self.context, self.trainer.agent, self._stops_evaluating)
        except EvaluationStopped:
            return None
        except Exception:
            self.saver.save()  # what was learned must not be lost to an evaluation that fails
            raise
        self.record.evaluated(step, found)
        figures = (found.mean_return, found.std_return, found.mean_length)
        metrics = dict(zip(_EVALUATED, (*figures, perf_counter() - start), strict=True))
        self.host.notify("puffer_eval_end", run=self.info, step=step, metrics=metrics)
        return metrics

    def _stops_evaluating(self) -> bool:
        """Asked at every step of an evaluation."""
        self.watchdog.progressed()
        return bool(self.stop)

    def _tell_saved(self, step: int, path: Path) -> None:
        self.host.notify("puffer_checkpoint_saved", run=self.info, step=step, path=path)
