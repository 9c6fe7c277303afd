"""Whether a policy fits: a checkpoint the run as it is made now, and what was learned the env that it is to act in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from puffer_core.checkpoints.manifest import PolicyEntry
from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.errors import CheckpointError
from puffer_core.spaces.layout import Layout

_SPACES = ("observation", "action", "global_state")
_REST = ("target", "config", "inputs", "outputs", "carry")


def check_fits(path: Path, was: PolicyEntry, now: PolicyEntry) -> None:
    """Check that a checkpoint's policy and spaces are those of the run as it is made now.

    Args:
        path: of the checkpoint.
        was: what its manifest says.
        now: what the run's env and policy give.

    Raises:
        CheckpointError: something differs; names each thing with both values.
    """
    if found := [*_differences(_layouts(was), _layouts(now)), *_others(was, now)]:
        raise CheckpointError(
            f"{path}: the run is made otherwise now: {'; '.join(found)} (the checkpoint's against the run's)",
            remedy="the env or the policy has changed: install the versions that `puffer checkpoints inspect` names, "
            "or train a new run",
        )


def check_env(path: Path, policy: PolicyInterface, env: VectorEnvSpec, *, name: str, masked: bool, remedy: str) -> None:
    """Check that a policy is one for this env.

    Args:
        path: where it is from.
        policy: the spaces that it was made for.
        env: to act in.
        name: what the env is called.
        masked: it learned with action masks.
        remedy: for the message.

    Raises:
        CheckpointError: it is for another; says what differs.
    """
    spaces = {"observation": env.observation, "action": env.action}
    if policy.global_state is not None and env.global_state is not None:
        spaces["global_state"] = env.global_state
    found = [*_differences({name: getattr(policy, name) for name in spaces}, spaces)]
    if masked != env.action_mask:
        found.append("action masks: " + ("some against none" if masked else "none against some"))
    if found:
        raise CheckpointError(
            f"{path}: its policy is for another env than {name}: {'; '.join(found)} (the policy's against the env's)",
            remedy=remedy,
        )


def _differences(one: Mapping[str, Layout | None], other: Mapping[str, Layout | None]) -> Iterator[str]:
    """Spaces by name that are not the same in both."""
    for name, space in one.items():
        against = other[name]
        if space is None or against is None:
            if space is not against:
                yield f"{name}: {_presence(space)} against {_presence(against)}"
        elif words := space.difference(against):
            yield f"{name}: {words}"


def _layouts(entry: PolicyEntry) -> dict[str, Layout | None]:
    forms = {name: getattr(entry, name) for name in _SPACES}
    return {name: None if form is None else Layout.from_json(form) for name, form in forms.items()}


def _presence(space: Layout | None) -> str:
    return "none" if space is None else "one"


def _others(was: PolicyEntry, now: PolicyEntry) -> Iterator[str]:
    for name in _REST:
        old, new = getattr(was, name), getattr(now, name)
        if old != new:
            yield f"{name} of the policy: {old} against {new}"
