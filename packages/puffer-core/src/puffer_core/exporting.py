"""Policies as files for other runtimes: written by a backend with the capability `export`, and played again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from puffer_core.checkpoint import MANIFEST
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.contracts.policy import Agent
from puffer_core.durable import make_directory
from puffer_core.errors import CheckpointError, UnsupportedError, UsageError
from puffer_core.manifest import Manifest
from puffer_core.plugins import PluginHost, Provided


class Exporter(Protocol):
    """What the target of a `BackendSpec` with the capability `export` has beside `Backend`."""

    def export(
        self, agent: Agent, path: Path, *, reference: Backend, action_mask: bool, words: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write an agent to `path`, once what was written is known to act as `reference` does; else leave nothing.

        Args:
            agent: its parameters are NumPy arrays.
            path: of the new file; its directory is there.
            reference: the engine to compare with.
            action_mask: the env gives masks.
            words: JSON values about the checkpoint, to be written into the file.

        Returns:
            JSON values: `inputs` and `outputs`, each name to `shape` and `dtype`; `difference`, the greatest that was
            measured; more as the format has it.

        Raises:
            UnsupportedError: this policy cannot be exported; names its module and the op.
        """
        ...

    def open(self, path: Path) -> tuple[Agent, Backend]:
        """The agent of a file that `export` wrote, and the engine that it acts on.

        Raises:
            CheckpointError: it is damaged, or something else; says what is missing.
        """
        ...


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it compares.

    Args:
        path: of the file.
        format: name of the backend that wrote it.
        checkpoint: whose policy it is.
        step: of the checkpoint.
        size: bytes.
        details: what the backend says: `inputs`, `outputs`, `difference` and more.

    Example:
        >>> Exported(Path("p.onnx"), "onnx", Path("step-1"), 1, 900, {"difference": 2e-7}).summary()["difference"]
        2e-07
    """

    path: Path
    format: str
    checkpoint: Path
    step: int
    size: int
    details: Mapping[str, Any]

    def summary(self) -> dict[str, Any]:
        """As JSON values."""
        words = {"path": str(self.path), "format": self.format, "checkpoint": str(self.checkpoint), "step": self.step}
        return {**words, "size": self.size, **self.details}


def find_exporter(host: PluginHost, format: str) -> Provided:
    """The backend that writes and plays files of a format.

    Raises:
        UsageError: none does, or it is not installed; names those that do, and how to install it.
    """
    able = sorted(item.spec.name for item in host.provided("backend") if "export" in item.spec.capabilities)
    provided = host.find("backend", format)
    if "export" not in provided.spec.capabilities:
        raise UsageError(
            f"--format: got {format!r}, expected a backend that exports: {', '.join(able) or 'none is installed'}",
            remedy="pip install puffer-backend-onnx" if not able else "",
        )
    return provided


def write(
    host: PluginHost,
    exporter: Exporter,
    provided: Provided,
    agent: Agent,
    policy: Provided,
    manifest: Manifest,
    checkpoint: Path,
    path: Path,
    *,
    reference: Backend,
    words: Mapping[str, Any],
) -> Exported:
    """Export the policy of a checkpoint.

    Args:
        host: knows the other backends.
        exporter: the backend that writes.
        provided: what it is.
        agent: of the checkpoint.
        policy: who provides it.
        manifest: of the checkpoint.
        checkpoint: its directory.
        path: of the new file.
        reference: the engine to compare with.
        words: more for the file's metadata.

    Raises:
        UnsupportedError: the policy cannot be exported; names the op, and the backends that it runs on.
    """
    entry = manifest.policy
    assert entry is not None
    about = {
        "checkpoint": hashlib.sha256((checkpoint / MANIFEST).read_bytes()).hexdigest(),
        "step": manifest.step,
        "unit": manifest.unit,
        "run": manifest.run_id,
        "policy": f"{entry.name}@{entry.distribution}" if entry.distribution else entry.target,
        "versions": {item.distribution: item.version for item in (policy, provided) if item.distribution}
        | {"puffer-core": host.record("puffer-core").version},
        **words,
    }
    make_directory(path.parent, parents=True)
    try:
        mask = "action_mask" in entry.inputs
        details = exporter.export(agent, path, reference=reference, action_mask=mask, words=about)
    except UnsupportedError as error:
        names = policy.spec.backends or {item.spec.name for item in host.provided("backend")} - {provided.spec.name}
        error.remedy = error.remedy or f"this policy runs on {', '.join(sorted(names))}: act there with puffer eval"
        raise
    return Exported(path, provided.spec.name, checkpoint, manifest.step, path.stat().st_size, details)


def is_file(path: object) -> bool:
    """Whether an exported file is meant, and no run.

    Example:
        >>> is_file("policy.onnx"), is_file("runs/mine")
        (True, False)
    """
    return isinstance(path, str | Path) and (Path(path).is_file() or Path(path).suffix == ".onnx")


def open_file(host: PluginHost, path: Path) -> tuple[Agent, Backend]:
    """The agent that a file holds; the format is the file's ending.

    Raises:
        CheckpointError: no such file, or it holds none.
        UsageError: nothing installed plays this format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file", remedy="`puffer export RUN` writes one")
    provided = find_exporter(host, path.suffix.removeprefix(".") or "onnx")
    model = host.load_config(provided)
    exporter: Exporter = host.load(provided)(model() if model else {})
    return exporter.open(path)


def check_fits(path: Path, agent: Agent, env: VectorEnvSpec) -> None:
    """Whether a file's policy is one for this env.

    Raises:
        CheckpointError: it is not; says what differs.
    """
    interface, inputs = agent.policy.interface, agent.policy.inputs
    pairs = {"observation": (interface.observation, env.observation), "action": (interface.action, env.action)}
    if "global_state" in inputs and interface.global_state and env.global_state:
        pairs["global state"] = (interface.global_state, env.global_state)
    found = [f"{name}: {own.difference(other)}" for name, (own, other) in pairs.items() if own != other]
    if ("action_mask" in inputs) != env.action_mask:
        found.append(f"action mask: {'action_mask' in inputs} against {env.action_mask}")
    if found:
        raise CheckpointError(
            f"{path}: its policy is for another env than {env.id}. {'; '.join(found)}",
            remedy="name the env that it was trained in, with the same --env.* options",
        )
