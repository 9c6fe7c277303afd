"""Policies as files for other runtimes: written by a backend with the capability `export`, and played again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from puffer_core.checkpoints.reading import MANIFEST
from puffer_core.config.schema import Option, section_of
from puffer_core.config.words import describe, show
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.policy import Agent
from puffer_core.durable import make_directory
from puffer_core.errors import CheckpointError, ResourceError, UnsupportedError, UsageError, did_you_mean
from puffer_core.loaded_policy import LoadedAgent
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


@dataclass(frozen=True)
class Format:
    """A format of files.

    Args:
        provided: the backend that writes and plays them.
        exporter: the same, made.
    """

    provided: Provided
    exporter: Exporter

    @property
    def name(self) -> str:
        """Of the backend, and the ending of its files."""
        return self.provided.spec.name


def find_format(host: PluginHost, name: str, options: Mapping[str, Any]) -> Format:
    """The format of this name, its backend made with these options.

    Raises:
        UsageError: there is none, or it is not installed; names those there are, and how to install it. Or an option
            that is not valid.
    """
    able = _able(host)
    if name.partition("@")[0] not in able:
        raise UsageError(
            f"--format: got {name!r}, expected a backend that exports: {', '.join(able) or 'none is installed'}",
            remedy="pip install puffer-backend-onnx" if not able else "",
        )
    provided = host.find("backend", name)
    model = host.load_config(provided)
    try:
        config = model(**options) if model else options
    except ValidationError as error:
        raise _unfit_option(model, provided, error) from error
    return Format(provided, host.load(provided)(config))


def _unfit_option(model: type[BaseModel], provided: Provided, error: ValidationError) -> UsageError:
    first = error.errors()[0]
    name, options = str(first["loc"][0]), section_of(model).members
    option = options.get(name)
    if not isinstance(option, Option):
        return UsageError(f"--{name}: unknown option of {provided.label}", remedy=did_you_mean(name, options))
    return UsageError(f"--{name}: got {show(first['input'])}, expected {describe(option.annotation)}")


def write(
    host: PluginHost, form: Format, saved: LoadedAgent, path: Path, *, reference: Backend, words: Mapping[str, Any]
) -> Exported:
    """Export the policy of a checkpoint.

    Args:
        host: knows the other backends.
        form: of the new file.
        saved: the checkpoint.
        path: of the new file.
        reference: the engine to compare with.
        words: more for the file's metadata.

    Raises:
        ResourceError: the file cannot be written.
        UnsupportedError: the policy cannot be exported; names the op, and the backends that it runs on.
        UsageError: `path` is a directory.
    """
    if path.is_dir():
        raise UsageError(
            f"--output: got {path}, a directory, expected a file",
            remedy=f"--output {path / saved.path.name}.{form.name}",
        )
    about = {**_about(host, form, saved), **words}
    try:
        make_directory(path.parent, parents=True)
        details = form.exporter.export(saved.agent, path, reference=reference, action_mask=saved.masked, words=about)
    except UnsupportedError as error:
        names = saved.provided.spec.backends or {item.spec.name for item in host.provided("backend")} - {form.name}
        error.remedy = error.remedy or f"this policy runs on {', '.join(sorted(names))}: act there with puffer eval"
        raise
    except OSError as error:
        raise ResourceError(
            f"{path}: cannot be written: {error.strerror or error}", remedy="--output FILE names another place"
        ) from error
    return Exported(path, form.name, saved.path, saved.manifest.step, path.stat().st_size, details)


def _about(host: PluginHost, form: Format, saved: LoadedAgent) -> dict[str, Any]:
    """Where a file comes from."""
    entry, manifest = saved.entry, saved.manifest
    ours = [item for item in (saved.provided, form.provided) if item.distribution]
    return {
        "checkpoint": hashlib.sha256((saved.path / MANIFEST).read_bytes()).hexdigest(),
        "step": manifest.step,
        "unit": manifest.unit,
        "run": manifest.run_id,
        "policy": f"{entry.name}@{entry.distribution}" if entry.distribution else entry.target,
        "versions": {item.distribution: item.version for item in ours}
        | {"puffer-core": host.record("puffer-core").version},
    }


def is_file(path: object) -> bool:
    """Whether an exported file is meant, and no run.

    Example:
        >>> is_file("policy.onnx"), is_file("runs/mine")
        (True, False)
    """
    if not isinstance(path, str | Path):
        return False
    path = Path(path)
    return path.is_file() or (path.suffix == ".onnx" and not path.is_dir())


def open_file(host: PluginHost, path: Path) -> tuple[Agent, Backend]:
    """The agent that a file holds; the format is the file's ending, or ONNX where no format is called so.

    Raises:
        CheckpointError: no such file, or it holds none.
        UsageError: nothing installed plays this format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file", remedy="`puffer export RUN` writes one")
    if not _able(host):
        raise UsageError(f"{path}: nothing that plays files is installed", remedy="pip install puffer-backend-onnx")
    ending = path.suffix.removeprefix(".")
    return find_format(host, ending if ending in _able(host) else "onnx", {}).exporter.open(path)


def _able(host: PluginHost) -> list[str]:
    return sorted(item.spec.name for item in host.provided("backend") if "export" in item.spec.capabilities)
