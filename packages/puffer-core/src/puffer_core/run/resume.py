"""Going on with a run: from its last sound checkpoint, as its own configuration says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from puffer_core.checkpoints.reading import Checkpoint, is_checkpoint
from puffer_core.config import plan_of
from puffer_core.durable import parse_json
from puffer_core.errors import CheckpointError, PluginError, UsageError
from puffer_core.plan import RunPlan, VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.run.changes import STEPPING, Change, changes, inexact
from puffer_core.run.directory import CONFIG, VECTOR, ExistingRun, Run
from puffer_core.run.display import Display, Silent
from puffer_core.run.latest import latest_sound
from puffer_core.run.loop import execute, run_in
from puffer_core.run.overview import is_run
from puffer_core.run.plugin_sets import check_providers, differences, unusable, versions
from puffer_core.run.record import RunRecord

Shown: TypeAlias = Display | Callable[[RunPlan], Display] | None
"""A display, or what makes one when the plan is known; nothing but messages where None."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def resume(
    run: Path,
    host: PluginHost,
    *,
    argv: Sequence[str] = (),
    overrides: Mapping[str, Any] = _NOTHING,
    display: Shown = None,
) -> Run:
    """Go on with a run that was stopped, killed, or is to be longer. One that has finished is left as it is.

    Its plan is that of its `config.json`: `puffer.toml` and variables of the environment play no part.

    Args:
        run: its directory.
        host: loads the components and is told of events.
        argv: flags for options that may change (`changes.MAY_CHANGE` and the loggers).
        overrides: the same as nested settings.
        display: shows the progress.

    Returns:
        The run, with its last evaluation.

    Raises:
        CheckpointError: not a run, it has no sound checkpoint, or one that does not fit what is installed.
        UsageError: something was to change that may not.
        ResourceError: another process holds the run, or its directory cannot be written.
        RunStopped: a signal ended it; it was saved before.
    """
    if is_checkpoint(Path(run)):
        raise CheckpointError(f"{run}: a checkpoint, expected a run", remedy=f"puffer resume {Path(run).parent.parent}")
    with ExistingRun(Path(run)) as directory:
        saved, warnings = latest_sound(directory.path)
        if saved is None:
            raise CheckpointError(
                f"{run}: the run was never saved, so there is nothing to go on from",
                remedy="train anew: `puffer train` with another --run, or there with `--resume auto`",
            )
        return _Resumption(directory, saved, host, warnings).go_on(None, argv, overrides, display)


def begin(
    plan: RunPlan,
    host: PluginHost,
    *,
    argv: Sequence[str] = (),
    overrides: Mapping[str, Any] = _NOTHING,
    display: Shown = None,
) -> Run:
    """Train as planned; where its `resume` is `auto`, go on with the run in its directory if there is one.

    Args:
        plan: what `argv` and `overrides` gave, with files and variables.
        host: loads the components and is told of events.
        argv: what stands behind `puffer train TRAINER`; of a run that goes on, it may change what `resume` may.
        overrides: the same as nested settings.
        display: shows the progress.

    Raises:
        UsageError: `auto` without a directory; and as `resume` does.
        PufferError: as `execute` and `resume` do.
    """
    options = plan.options
    if options.resume == "auto" and not options.run:
        raise UsageError(
            "--resume auto: got no directory, expected the one of the run", remedy="name it, as in --run runs/mine"
        )
    path = Path(options.run)
    if options.resume != "auto" or not is_run(path):
        return execute(plan, host, display=_shown(display, plan))
    with ExistingRun(path) as directory:
        saved, warnings = latest_sound(path)
        if saved is not None:
            return _Resumption(directory, saved, host, warnings).go_on(plan, argv, overrides, display)
        shown = _shown(display, plan)
        shown.message(f"{path}: a run began here and was never saved; it starts anew")
        directory.describe(plan.tree, host.describe())
        directory.forget_vector()
        return run_in(directory, plan, host, display=shown)


def _shown(display: Shown, plan: RunPlan) -> Display:
    if display is None:
        return Silent()
    return display(plan) if callable(display) else display


class _Resumption:
    """A run that is held, and the checkpoint that it goes on from."""

    def __init__(self, directory: ExistingRun, saved: Checkpoint, host: PluginHost, warnings: Sequence[str]) -> None:
        self.directory, self.saved, self.host, self.warnings = directory, saved, host, warnings
        self.tree = Run(directory.path).config
        self.file = str(directory.path / CONFIG)

    def go_on(self, asked: RunPlan | None, argv: Sequence[str], overrides: Mapping[str, Any], display: Shown) -> Run:
        """Train to the end, if it is not reached; `asked` is the plan of `puffer train` where that was the command."""
        check_providers(self.saved, self.host)
        plan, changed = self._plan(asked, argv, overrides)
        shown, path = _shown(display, plan), self.directory.path
        for line in (*self.warnings, *differences(self.saved, self.host), *self._inexact(changed)):
            shown.message(f"warning: {line}")
        record, step = self._record(), self.saved.manifest.step
        if record is not None and record.ended(step, plan.options):
            longer = (
                "--target-return none" if record.reached(plan.options.target_return) else f"--total-steps {2 * step}"
            )
            shown.message(f"{path}: the run has finished, at step {step:,}; it goes on with {longer}")
            return Run(path, record.evaluation)
        if STEPPING & changed.keys():
            self.directory.forget_vector()
        plan = replace(plan, settled=self._settled(plan))
        return run_in(
            self.directory, plan, self.host, display=shown, saved=self.saved, restored=lambda: self._keep(plan, changed)
        )

    def _plan(
        self, asked: RunPlan | None, argv: Sequence[str], overrides: Mapping[str, Any]
    ) -> tuple[RunPlan, dict[str, Change]]:
        """The run's own plan with what was asked to change, and that.

        Raises:
            CheckpointError: its configuration cannot be used with what is installed.
            UsageError: what was asked for is not allowed, or malformed.
        """
        if asked is not None:
            changes({"trainer": self.tree.get("trainer")}, {"trainer": asked.tree["trainer"]})
        own = self._recorded({**self.tree, **self._replaceable()})
        source = asked.source if asked is not None else None
        try:
            plan = plan_of(self.host, self.tree, source, argv=argv, overrides=overrides)
        except (UsageError, PluginError):
            self._recorded(self.tree)  # a logger or backend of the run that is not installed, and that nobody replaced
            raise
        as_it_was = {name: self.tree.get(name, {}) for name in self._replaceable()}
        changed = changes({**own.tree, **as_it_was}, plan.tree)
        if plan.options.run != own.options.run and Path(plan.options.run).resolve() != self.directory.path.resolve():
            raise UsageError(f"--run: got {plan.options.run}, but {self.directory.path} goes on where it is")
        place = {name: getattr(own.options, name) for name in ("run", "resume")}
        return replace(plan, options=plan.options.model_copy(update=place), tree={**plan.tree, **place}), changed

    def _replaceable(self) -> dict[str, Any]:
        """Sections that the run can be read without: the loggers, and a backend that cannot be used here."""
        name = self.tree.get("backend", {}).get("name", "")
        try:
            self.host.find("backend", name)
        except (UsageError, PluginError):
            return {"logger": {}, "backend": {}}
        return {"logger": {}}

    def _recorded(self, tree: Mapping[str, Any]) -> RunPlan:
        try:
            return plan_of(self.host, tree)
        except (UsageError, PluginError) as error:
            raise unusable(self.file, tree, self.saved.manifest.plugins, self.host, error) from error

    def _reasons(self, changed: Mapping[str, Change]) -> list[str]:
        """Why what follows is not, bit for bit, what would have followed."""
        return [*self.saved.manifest.resume.reasons, *inexact(changed)]

    def _inexact(self, changed: Mapping[str, Change]) -> list[str]:
        reasons = self._reasons(changed)
        return [f"{self.saved.path}: the run goes on, but not bit for bit: {'; '.join(reasons)}"] if reasons else []

    def _record(self) -> RunRecord | None:
        """What the run knew of itself; None where it is in a form of another version, which restoring will tell."""
        record, entry = RunRecord(), self.saved.manifest.components.get("run")
        if entry is None or entry.version != record.STATE_VERSION:
            return None
        record.load_state_dict(self.saved.states["run"])
        return record

    def _settled(self, plan: RunPlan) -> VectorConfig | None:
        """What `--vector.mode auto` became when the run began, where that still holds."""
        file = self.directory.path / VECTOR
        if plan.vector.mode != "auto" or not file.exists():
            return None
        try:
            kept = parse_json(file.read_bytes())
            chosen = {name: kept[name] for name in ("mode", "workers", "isolate")}
            if plan.vector.batches == 2 and not plan.vector.workers:
                chosen["workers"] = 0  # shared out anew: an even number
            return VectorConfig.model_validate(plan.vector.model_dump() | chosen)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{file}: cannot be read: {error}", remedy="remove it: how envs are stepped is then settled anew"
            ) from error

    def _keep(self, plan: RunPlan, changed: Mapping[str, Change]) -> None:
        """Write down that the run was resumed, and what it is from here on."""
        self.directory.keep_resume(
            {
                "time": datetime.now().astimezone().isoformat(timespec="seconds"),
                "step": self.saved.manifest.step,
                "checkpoint": self.saved.path.name,
                "changes": {name: {"from": change.old, "to": change.new} for name, change in changed.items()},
                "bitwise": not self._reasons(changed),
                "reasons": self._reasons(changed),
                "versions": versions(self.host),
            }
        )
        self.directory.describe(plan.tree, self.host.describe())
