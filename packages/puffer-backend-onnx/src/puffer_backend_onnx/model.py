"""An exported file as a policy again: what `puffer eval model.onnx` plays with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from puffer_backend_onnx.export import FORMAT
from puffer_backend_onnx.graph import RUNTIME_ERRORS, open_session
from puffer_backend_onnx.step import flat
from puffer_core.arrays import Array, Params, Tree, map_tree
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.contracts.policy import Agent, Inputs, Outputs, PolicyInterface
from puffer_core.errors import CheckpointError
from puffer_core.layout import Layout
from puffer_core.numpy_backend import NumpyBackend

_REMEDY = "export it anew: puffer export RUN --format onnx"


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
        self.interface = PolicyInterface(
            observation=Layout.from_json(self.metadata["observation_space"]),
            action=Layout.from_json(self.metadata["action_space"]),
            global_state=_layout(self.metadata["global_state_space"]),
            outputs=frozenset(self.metadata["outputs"]),
        )
        self.inputs = frozenset(self.metadata["inputs"])
        self._taken = {value.name for value in self._session.get_inputs()}
        self._names = [value.name for value in self._session.get_outputs()]
        self.env_action: Tree = None
        """What the graph decided at the last step, as the env takes it."""

    def init(self, rng: np.random.Generator) -> Params:
        """Nothing: the parameters are in the graph."""
        return {}

    def initial_carry(self, rows: int) -> Tree:
        """The recurrent state, by the names of its inputs."""
        state: Mapping[str, Any] = self.metadata["state"]
        first = {name: np.asarray(part["initial"], part["dtype"]) for name, part in state.items()}
        return map_tree(lambda x: np.broadcast_to(x, (rows, *x.shape)), first)

    def apply(
        self, ops: Ops, params: Params, inputs: Inputs, carry: Tree, reset: Array, rng: Rng | None
    ) -> tuple[Outputs, Tree]:
        """One step in ONNX Runtime."""
        given = flat(map_tree(lambda x: x[0], dict(inputs))) | carry | {"reset": reset[0]}
        feeds = {name: np.ascontiguousarray(given[name]) for name in self._taken}
        found = dict(zip(self._names, self._session.run(self._names, feeds), strict=True))
        after = {name: found.pop(part["next"]) for name, part in self.metadata["state"].items()}
        layout = self.interface.action
        parts = {leaf.name: found.pop(f"action.{leaf.name}" if leaf.name else "action") for leaf in layout.leaves}
        self.env_action = parts if layout.is_nested else parts[""]
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
        """`fn`, which is `puffer_core.acting.act` for some policy."""
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
        raise CheckpointError(f"{path}: ONNX Runtime cannot read it: {str(error).strip()}", remedy=_REMEDY) from error


def _metadata(path: Path, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What Puffer wrote beside the graph."""
    given = session.get_modelmeta().custom_metadata_map
    texts = {name.removeprefix("puffer."): text for name, text in given.items() if name.startswith("puffer.")}
    if texts.pop("format", "") != FORMAT:
        raise CheckpointError(
            f"{path}: no policy that Puffer exported: its metadata lacks puffer.format {FORMAT!r}, and with it the "
            "spaces and the state",
            remedy=f"play it with ONNX Runtime alone, or {_REMEDY}",
        )
    needed = {"observation_space", "action_space", "global_state_space", "inputs", "outputs", "state"}
    if missing := sorted(needed - texts.keys()):
        raise CheckpointError(f"{path}: its metadata lacks puffer.{', puffer.'.join(missing)}", remedy=_REMEDY)
    try:
        found = {name: json.loads(texts[name]) for name in sorted(needed)}
    except ValueError as error:
        raise CheckpointError(f"{path}: its metadata is damaged: {error}", remedy=_REMEDY) from error
    outputs = {value.name for value in session.get_outputs()}
    actions = Layout.from_json(found["action_space"])
    promised = {f"action.{name}" if name else "action" for name in actions.names}
    promised |= {part["next"] for part in found["state"].values()}
    if missing := sorted(promised - outputs):
        raise CheckpointError(f"{path}: the graph lacks the outputs {', '.join(missing)}", remedy=_REMEDY)
    return {**texts, **found}


def _layout(form: Any) -> Layout | None:
    return None if form is None else Layout.from_json(form)
