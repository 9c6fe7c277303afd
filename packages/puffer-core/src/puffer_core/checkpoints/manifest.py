"""The manifest of a checkpoint: what is in it, what made it, and what it takes to use it."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from puffer_core.durable import json_bytes

FORMAT: Literal["puffer-checkpoint"] = "puffer-checkpoint"
VERSION: Literal[1] = 1
_FILE = r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.(json|safetensors)\Z"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Model):
    """One file beside the manifest."""

    size: int = Field(ge=0)
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the content, hexadecimal."""


class ComponentEntry(_Model):
    """One component of the run and the files that hold its state."""

    type: str
    """Its class, `module:Name`."""
    version: int
    """Its `STATE_VERSION`."""
    distribution: str
    """What provides it; empty where nothing installed does."""
    distribution_version: str
    """Version of that distribution; empty likewise."""
    files: list[str]
    """Names of its files."""


class PolicyEntry(_Model):
    """How the policy is made again: by its provider, from its options and spaces."""

    name: str
    """The name it is found by."""
    distribution: str
    """What provides it; empty for a `py:` target."""
    target: str
    """Its class, `module:Name`."""
    config: Any
    """Its options, JSON values."""
    observation: dict[str, Any]
    """Space of one row's observation, as `puffer_core.spaces.json_form` writes it."""
    action: dict[str, Any]
    """Space of one row's action."""
    global_state: dict[str, Any] | None
    """Space of the env's global state, null where it has none."""
    inputs: list[str]
    """Names of the inputs it reads, `action_mask` among them where the env gives masks."""
    outputs: list[str]
    """Outputs that the trainer asked for."""
    carry: dict[str, dict[str, Any]]
    """Recurrent state of one row: path to shape and dtype; empty for a policy without memory."""


class ResumeEntry(_Model):
    """Whether a resumed run equals one that was never stopped."""

    bitwise: bool
    """Bit for bit, on the same machine and versions."""
    reasons: list[str]
    """Why not; empty where it does."""


class Header(_Model):
    """What the run says of a checkpoint; the files are added when it is written."""

    step: int = Field(ge=0)
    """Progress of the trainer."""
    unit: str
    """What steps count."""
    run_id: str
    """Name of the run."""
    config_hash: str
    """SHA-256 of the run's `config.json`."""
    policy: PolicyEntry | None
    """None for a trainer whose policy no plugin provides."""
    plugins: list[dict[str, Any]]
    """Plugins that were installed, with version and status."""
    runtime: dict[str, Any]
    """Versions, device and threads."""
    resume: ResumeEntry
    """Whether resuming is exact."""
    external: list[dict[str, Any]] = []
    """Segments kept outside of the checkpoint, such as a replay buffer's."""
    score: float | None = Field(default=None, allow_inf_nan=False)
    """Of the run's checkpoints those of the highest are the best; null where `score_metric` had no value."""
    score_metric: str = "eval/return"
    """What the score is: a metric of this step, negated where `-` stands before its name."""
    nonfinite: list[str] = []
    """Policy parameters that hold a NaN or an infinity: such a policy is broken."""


class Manifest(Header):
    """`manifest.json`."""

    format: Literal["puffer-checkpoint"] = FORMAT
    """Always this."""
    version: Literal[1] = 1
    """Of the format."""
    files: dict[str, FileEntry]
    """Every file beside the manifest, by name."""
    components: dict[str, ComponentEntry]
    """Every component, by name; `policy` holds the policy's parameters and nothing else."""
    checksum: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    """SHA-256 of the manifest's bytes with this value left empty; empty where nobody sealed it."""

    def model_post_init(self, _: Any) -> None:
        """Names stay inside the checkpoint, and each file belongs to one component."""
        import re

        bad = [name for name in self.files if not re.match(_FILE, name)]
        if bad:
            raise ValueError(f"file names {bad} are not allowed: a plain name ending in .json or .safetensors")
        listed = sorted(name for component in self.components.values() for name in component.files)
        if listed != sorted(self.files):
            raise ValueError("the files listed are not those of the components")


def sealed(manifest: Manifest) -> bytes:
    """The bytes of a `manifest.json`, with their own checksum in them.

    Example:
        >>> resume = ResumeEntry(bitwise=True, reasons=[])
        >>> data = sealed(Manifest(step=1, unit="env_steps", run_id="r", config_hash="", policy=None, plugins=[],
        ...                        runtime={}, resume=resume, files={}, components={}))
        >>> checksum = Manifest.model_validate_json(data).checksum
        >>> is_as_sealed(data, checksum), is_as_sealed(data.replace(b"env_steps", b"env_stepr"), checksum)
        (True, False)
    """
    blank = json_bytes(manifest.model_dump(mode="json") | {"checksum": ""})
    return blank.replace(_seal(""), _seal(hashlib.sha256(blank).hexdigest()), 1)


def is_as_sealed(data: bytes, checksum: str) -> bool:
    """Whether a manifest's bytes are those that `sealed` gave; true of one that was never sealed."""
    blank = data.replace(_seal(checksum), _seal(""), 1)
    return not checksum or hashlib.sha256(blank).hexdigest() == checksum


def _seal(checksum: str) -> bytes:
    """How the line looks; keys are sorted, so none like it stands before it."""
    return f'"checksum": "{checksum}"'.encode()
