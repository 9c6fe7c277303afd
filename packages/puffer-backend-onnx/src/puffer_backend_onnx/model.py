"""An exported file as a policy again: what `puffer eval model.onnx` plays with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import onnxruntime
from pydantic import BaseModel, BeforeValidator, ConfigDict, Json, ValidationError

from puffer_backend_onnx.export import FORMAT
from puffer_backend_onnx.graph import RUNTIME_ERRORS, open_session
from puffer_backend_onnx.step import flat
from puffer_core.arrays import Array, Params, Tree, map_tree
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.contracts.policy import Agent, Inputs, Outputs, PolicyInterface
from puffer_core.errors import CheckpointError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout

_REMEDY = "export it anew: puffer export RUN --format onnx"
_NOISE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:|/onnxruntime_src/.*?\) (?=[A-Z])"
)
_NEWER = re.compile(r"Unsupported model IR version.*|[Oo]fficial support for domain .* till opset \d+")


def _space(text: str) -> Layout | None:
    form = json.loads(text)
    return None if form is None else Layout.from_json(form)


Space = Annotated[Layout, BeforeValidator(_space)]
Input = Literal["observation", "action_mask", "global_state", "previous_action", "previous_reward"]


class Part(BaseModel):
    """A part of the recurrent state, and the output that follows it."""

    next: str
    initial: list[Any]
    dtype: Literal["bool", "uint8", "int32", "int64", "float32", "float64"]


class Metadata(BaseModel):
    """What a file says of its policy, each a JSON text; see docs/export.md."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    observation_space: Space
    action_space: Space
    global_state_space: Annotated[Layout | None, BeforeValidator(_space)]
    inputs: Json[frozenset[Input]]
    outputs: Json[frozenset[str]]
    state: Json[dict[str, Part]]

    @property
    def nexts(self) -> dict[str, str]:
        """Each part of the state to the output that follows it."""
        return {name: part.next for name, part in self.state.items()}

    @property
    def action_names(self) -> dict[str, str]:
        """Each leaf of the action space to its output."""
        return {name: f"action.{name}" if name else "action" for name in self.action_space.names}


class ModelPolicy:
    """The policy that a file holds; implements `Policy`, on NumPy, one step at a time.

    Args:
        path: of the file.
        threads: of ONNX Runtime.

    Raises:
        CheckpointError: it cannot be read, or Puffer did not write it; says what is missing.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _session(path, threads)
        self.metadata = _metadata(path, self._session)
        _check(path, self._session, self.metadata)
        self.interface = PolicyInterface(
            observation=self.metadata.observation_space,
            action=self.metadata.action_space,
            global_state=self.metadata.global_state_space,
            outputs=self.metadata.outputs,
        )
        self.inputs: frozenset[str] = self.metadata.inputs
        self._taken = {value.name for value in self._session.get_inputs()}
        self._names = [value.name for value in self._session.get_outputs()]
        self.env_action: Tree = None
        """What the graph decided at the last step, as the env takes it."""

    def init(self, rng: np.random.Generator) -> Params:
        """Nothing: the parameters are in the graph."""
        return {}

    def initial_carry(self, rows: int) -> Tree:
        """The recurrent state, by the names of its inputs."""
        first = {name: np.asarray(part.initial, part.dtype) for name, part in self.metadata.state.items()}
        return map_tree(lambda x: np.broadcast_to(x, (rows, *x.shape)), first)

    def apply(
        self, ops: Ops, params: Params, inputs: Inputs, carry: Tree, reset: Array, rng: Rng | None
    ) -> tuple[Outputs, Tree]:
        """One step in ONNX Runtime."""
        given = flat(map_tree(lambda x: x[0], dict(inputs))) | carry | {"reset": reset[0]}
        feeds = {name: np.ascontiguousarray(given[name]) for name in self._taken}
        found = dict(zip(self._names, self._session.run(self._names, feeds), strict=True))
        after = {name: found.pop(following) for name, following in self.metadata.nexts.items()}
        parts = {leaf: found.pop(name) for leaf, name in self.metadata.action_names.items()}
        self.env_action = parts if self.interface.action.is_nested else parts[""]
        return {name: x[None] for name, x in found.items()}, after

    def update_stats(self, ops: Ops, params: Params, inputs: Inputs, weight: Array) -> Params:
        """The parameters as they are."""
        return params


class ModelBackend(NumpyBackend):
    """NumPy around a file: when it acts deterministically, the action is the graph's own.

    Args:
        policy: of the file.
    """

    def __init__(self, policy: ModelPolicy) -> None:
        super().__init__()
        self._policy = policy

    def compile(self, fn: Callable[..., Tree], *, consumes: tuple[int, ...] = (), rows: int = 0) -> Callable[..., Tree]:
        """`fn`, which is `puffer_core.collection.acting.act` for some policy."""
        act = super().compile(fn, consumes=consumes, rows=rows)
        if not getattr(fn, "keywords", {}).get("deterministic"):
            return act
        return lambda *arguments: {**act(*arguments), "env_action": self._policy.env_action}


def open_model(path: Path, threads: int) -> tuple[Agent, ModelBackend]:
    """The agent that a file holds, and the engine that it acts on.

    Raises:
        CheckpointError: see `ModelPolicy`.
    """
    policy = ModelPolicy(path, threads)
    return Agent(policy, {}), ModelBackend(policy)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        return open_session(str(path), threads)
    except RUNTIME_ERRORS as error:
        cause = _NOISE.sub("", str(error)).strip()
        if newer := _NEWER.search(cause):
            raise CheckpointError(
                f"{path}: made for a newer ONNX Runtime than {onnxruntime.__version__}: {newer.group()}",
                remedy=f"pip install --upgrade onnxruntime, or {_REMEDY}",
            ) from error
        raise CheckpointError(f"{path}: ONNX Runtime cannot read it: {cause}", remedy=_REMEDY) from error


def _metadata(path: Path, session: onnxruntime.InferenceSession) -> Metadata:
    """What Puffer wrote beside the graph."""
    given = session.get_modelmeta().custom_metadata_map
    texts = {name.removeprefix("puffer."): text for name, text in given.items() if name.startswith("puffer.")}
    if texts.get("format", "").startswith("puffer-policy ") and texts["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: its form is {texts['format']!r}, and this puffer-backend-onnx reads {FORMAT!r}",
            remedy=f"pip install --upgrade puffer-backend-onnx, or {_REMEDY}",
        )
    if texts.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: no policy that Puffer exported: its metadata lacks puffer.format {FORMAT!r}, and with it the "
            "spaces and the state",
            remedy=f"play it with ONNX Runtime alone, or {_REMEDY}",
        )
    if missing := sorted(Metadata.model_fields.keys() - texts.keys()):
        raise CheckpointError(f"{path}: its metadata lacks puffer.{', puffer.'.join(missing)}", remedy=_REMEDY)
    try:
        return Metadata.model_validate(texts)
    except (ValidationError, CheckpointError) as error:  # no space
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": error.message}
        what = ".".join(map(str, ("puffer", *first["loc"])))
        raise CheckpointError(f"{path}: its metadata is damaged: {what}: {first['msg']}", remedy=_REMEDY) from error


def _check(path: Path, session: onnxruntime.InferenceSession, metadata: Metadata) -> None:
    """Whether the graph takes and gives what its metadata say."""
    inputs = {value.name: value.shape[1:] for value in session.get_inputs()}
    outputs = {value.name for value in session.get_outputs()}
    if missing := sorted({*metadata.action_names.values(), *metadata.outputs, *metadata.nexts.values()} - outputs):
        raise CheckpointError(f"{path}: the graph lacks the outputs {', '.join(missing)}", remedy=_REMEDY)
    parts = {name.partition(".")[0] for name in inputs.keys() - metadata.state.keys()}
    if unknown := sorted(parts - {*metadata.inputs, "reset"}):
        raise CheckpointError(f"{path}: its metadata lacks the inputs {', '.join(unknown)}", remedy=_REMEDY)
    for name, part in metadata.state.items():
        if name in inputs and list(np.shape(part.initial)) != inputs[name]:
            raise CheckpointError(
                f"{path}: its metadata give {name} the shape {list(np.shape(part.initial))}, its graph {inputs[name]}",
                remedy=_REMEDY,
            )
