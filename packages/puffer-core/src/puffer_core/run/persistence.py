"""A run's state to and from checkpoints: which components there are, and what the manifest says of them."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from importlib_metadata import version

from puffer_core.arrays import named_leaves
from puffer_core.checkpoints import writing
from puffer_core.checkpoints.manifest import ComponentEntry, Header, PolicyEntry, ResumeEntry
from puffer_core.checkpoints.reading import Checkpoint
from puffer_core.checkpoints.writing import Saved
from puffer_core.contracts.checkpointable import Checkpointable, State
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Trainer
from puffer_core.durable import json_bytes
from puffer_core.errors import CheckpointError
from puffer_core.nonfinite import nonfinite_names
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.fitting import check_fits
from puffer_core.run.record import RunRecord

DISTRIBUTION = "puffer-core"


def save(
    context: RunContext,
    trainer: Trainer,
    record: RunRecord,
    directory: RunDirectory,
    *,
    score: float | None = None,
    replace: bool = False,
) -> Path:
    """Write a checkpoint of a run that is between two updates; gives its path.

    Args:
        context: of the run.
        trainer: likewise.
        record: likewise.
        directory: where it lives.
        score: of this step by the metric that decides which are the best, if there is one.
        replace: replace a checkpoint of this step, which is kept otherwise.

    Raises:
        CheckpointError: a component's state holds something else than arrays and JSON values.
        ResourceError: the disk is full, read-only or gone.
    """
    components = _saved(context, trainer, record)
    nonfinite = nonfinite_names(components["policy"].state)
    header = _header(context, trainer, directory.path.name, nonfinite, score)
    return writing.save(directory.checkpoints, header, components, to_numpy=context.backend.to_numpy, replace=replace)


def _components(context: RunContext, trainer: Trainer, record: RunRecord) -> dict[str, tuple[Checkpointable, str, str]]:
    """Everyone who has state, with the distribution and version that provides it."""
    core = (DISTRIBUTION, version(DISTRIBUTION))
    plan = context.plan
    found: dict[str, tuple[Checkpointable, str, str]] = {
        name: (component, provided.distribution, provided.version)
        for name, (component, provided) in context.plugin_components.items()
    }
    found["run"] = (record, *core)
    found["trainer"] = (trainer, plan.trainer.distribution, plan.trainer.version)
    if context.collects is not None:
        found["collector"] = (context.collects, *core)
    found["streams"] = (context.streams, *core)
    return found


def _saved(context: RunContext, trainer: Trainer, record: RunRecord) -> dict[str, Saved]:
    saved = {
        name: Saved(component.state_dict(), class_name(component), component.STATE_VERSION, distribution, number)
        for name, (component, distribution, number) in _components(context, trainer, record).items()
    }
    params = saved["trainer"].state.pop("params", None)
    if params is None:
        raise CheckpointError(f"{saved['trainer'].type}: state_dict() has no 'params', the parameters of the policy")
    policy = context.plan.policy
    numbers = {name: context.backend.to_numpy(value) for name, value in params.items()}
    saved["policy"] = Saved(numbers, class_name(trainer.agent.policy), 1, policy.distribution, policy.version)
    return saved


def class_name(value: object) -> str:
    """`module:Name` of a value's class.

    Example:
        >>> class_name(1)
        'builtins:int'
    """
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _header(context: RunContext, trainer: Trainer, run_id: str, nonfinite: list[str], score: float | None) -> Header:
    backend, plan = context.backend, context.plan
    versions = {"python": platform.python_version(), DISTRIBUTION: version(DISTRIBUTION), "numpy": np.__version__}
    engine = {"name": backend.name, **backend.describe()}
    runtime = {**versions, "platform": platform.platform(), "backend": engine}
    reasons = _not_bitwise(context, engine)
    policy = trainer.agent.policy
    return Header(
        step=trainer.progress,
        unit=trainer.unit,
        run_id=run_id,
        config_hash=hashlib.sha256(json_bytes(plan.tree)).hexdigest(),
        policy=_policy_entry(context, policy) if context.provides(policy) else None,
        plugins=context.host.describe(),
        runtime=runtime,
        resume=ResumeEntry(bitwise=not reasons, reasons=reasons),
        score=score,
        score_metric=plan.options.best_metric,
        nonfinite=nonfinite,
    )


def _not_bitwise(context: RunContext, backend: dict[str, Any]) -> list[str]:
    reasons = []
    if context.collects is not None and not context.env.snapshot:
        why = f" ({context.env.no_snapshot})" if context.env.no_snapshot else ""
        reasons.append(f"the env {context.env.id} cannot give its state{why}: new episodes start")
    if backend.get("deterministic") is False and not context.backend.device.startswith("cpu"):  # CPUs are, unasked
        reasons.append(f"the backend {backend['name']} on {context.backend.device} is not deterministic")
    return reasons


def _policy_entry(context: RunContext, policy: Policy) -> PolicyEntry:
    component, interface = context.plan.policy, policy.interface
    config, masks = component.config, {"action_mask"} if context.env.action_mask else set()
    carry = policy.initial_carry(1)
    return PolicyEntry(
        name=component.spec.name,
        distribution=component.distribution,
        target=component.spec.target,
        config=config.model_dump(mode="json") if hasattr(config, "model_dump") else config,
        observation=interface.observation.to_json(),
        action=interface.action.to_json(),
        global_state=interface.global_state.to_json() if interface.global_state else None,
        inputs=sorted(policy.inputs | masks),
        outputs=sorted(interface.outputs),
        carry={path: {"shape": list(x.shape[1:]), "dtype": str(x.dtype)} for path, x in named_leaves(carry)},
    )


def restore(
    context: RunContext,
    trainer: Trainer,
    record: RunRecord,
    saved: Checkpoint,
    *,
    instead: Callable[[str], object] | None = None,
) -> None:
    """Bring a context, a trainer and a record, all freshly built of the same plan, to where a checkpoint stands.

    Args:
        context: of the run.
        trainer: likewise.
        record: likewise.
        saved: where to go on.
        instead: told why, where the envs do not take back their state; new episodes start then. None: an error.

    Raises:
        CheckpointError: it has other components, or states that they do not take.
    """
    policy = trainer.agent.policy
    if saved.manifest.policy is not None and context.provides(policy):
        check_fits(saved.path, saved.manifest.policy, _policy_entry(context, policy))
    states = dict(saved.states)
    states["trainer"] = {**states.get("trainer", {}), "params": states.pop("policy", {})}
    if "collector" in states and context.collects is None:
        context.restore_collector(states.pop("collector"), instead)
    components = _components(context, trainer, record)
    _check_same_components(saved, components, set(states))
    for name, (component, _, _) in components.items():  # the streams come last: nothing may draw from them afterwards
        entry = saved.manifest.components[name]
        try:
            state = _current(name, component, entry, states[name])
            if component is context.collects:
                context.restore_collector(state, instead)
            else:
                component.load_state_dict(state)
        except CheckpointError as error:
            raise CheckpointError(f"{saved.path}: {name}: {error.message}", remedy=error.remedy) from error


def _check_same_components(
    saved: Checkpoint, here: dict[str, tuple[Checkpointable, str, str]], there: set[str]
) -> None:
    if unknown := sorted(there - here.keys()):
        entry = saved.manifest.components[unknown[0]]
        raise CheckpointError(
            f"{saved.path}: it holds the state of {unknown[0]} ({entry.type}), which this run does not have",
            remedy=f"install {entry.distribution} {entry.distribution_version}" if entry.distribution else "",
        )
    if missing := sorted(here.keys() - there):
        _, distribution, _ = here[missing[0]]
        raise CheckpointError(
            f"{saved.path}: it has no state of {missing[0]}, which {distribution} adds to the run now",
            remedy=f"leave that plugin out: puffer -p no:{distribution} resume ...",
        )


def _current(name: str, component: Checkpointable, entry: ComponentEntry, state: State) -> State:
    """The state in the form of the component's own `STATE_VERSION`."""
    if entry.version == component.STATE_VERSION:
        return state
    migrate = getattr(component, "migrate", None)
    if migrate is None:
        raise CheckpointError(
            f"the state of {name} has version {entry.version}, {class_name(component)} takes {component.STATE_VERSION}",
            remedy=f"install {entry.distribution} {entry.distribution_version}, which wrote it",
        )
    migrated: State = migrate(state, entry.version)
    return migrated
