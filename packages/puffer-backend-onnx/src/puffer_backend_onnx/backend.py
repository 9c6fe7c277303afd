"""The backend itself: functions that become graphs, and policies that become files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from puffer_backend_onnx.config import OnnxConfig
from puffer_backend_onnx.export import export
from puffer_backend_onnx.graph import build_model, open_session
from puffer_backend_onnx.model import open_model
from puffer_backend_onnx.node import Node
from puffer_backend_onnx.noise import Noise
from puffer_backend_onnx.ops import OnnxOps
from puffer_core.arrays import Tree, named_leaves, replace_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Agent
from puffer_core.numpy_backend import NumpyBackend

_GIVEN, _FOUND = "given", "found"


class OnnxBackend(NumpyBackend):
    """ONNX Runtime on the CPU, without gradients. Its arrays are NumPy's, and so are its optimizers.

    Args:
        config: version of the operators, threads.

    Example:
        >>> backend = OnnxBackend()
        >>> double = backend.compile(lambda ops, x: x + x)
        >>> double(np.ones(2, np.float32))
        array([2., 2.], dtype=float32)
    """

    name = "onnx"

    def __init__(self, config: OnnxConfig | None = None) -> None:
        self.options = config or OnnxConfig()
        table: Any = OnnxOps(self.options.opset)
        self.ops: Ops = table

    def compile(self, fn: Callable[..., Tree], *, consumes: tuple[int, ...] = (), rows: int = 0) -> Callable[..., Tree]:
        """`fn` as one graph for each set of shapes."""
        del consumes, rows
        programs: dict[Any, _Program] = {}

        def call(*arguments: Any) -> Tree:
            given = list(named_leaves(arguments, _GIVEN))
            key = tuple((name, type(x), getattr(x, "shape", ()), getattr(x, "dtype", None)) for name, x in given)
            if key not in programs:
                programs[key] = _Program(fn, self.options, arguments)
            return programs[key](dict(given))

        return call

    def export(
        self, agent: Agent, path: Path, *, reference: Backend, action_mask: bool, words: Mapping[str, Any]
    ) -> dict[str, Any]:
        """See `puffer_backend_onnx.export.export`."""
        return export(agent, path, self.options, reference=reference, action_mask=action_mask, words=words)

    def open(self, path: Path) -> tuple[Agent, Backend]:
        """See `puffer_backend_onnx.model.open_model`."""
        return open_model(path, self.options.threads)

    def describe(self) -> dict[str, Any]:
        """What decides speed and rounding here."""
        return {
            "engine": "onnx",
            "version": onnxruntime.__version__,
            "opset": self.options.opset,
            "device": self.device,
            "threads": self.options.threads,
            "deterministic": True,
        }


class _Program:
    """One function at one set of shapes, run by ONNX Runtime."""

    def __init__(self, fn: Callable[..., Tree], config: OnnxConfig, arguments: tuple[Any, ...]) -> None:
        ops = OnnxOps(config.opset)
        self._inputs = {name: _stand_in(ops, x) for name, x in named_leaves(arguments, _GIVEN)}
        self._result = fn(ops, *replace_leaves(arguments, self._inputs, _GIVEN))
        outputs = {name: x for name, x in named_leaves(self._result, _FOUND) if isinstance(x, Node)}
        self._noise = {name: x for name, x in self._inputs.items() if isinstance(x, Noise)}
        drawn = [node for noise in self._noise.values() for node, _ in noise.fill(np.random.default_rng(0))]
        inputs = {name: x for name, x in self._inputs.items() if isinstance(x, Node)}
        inputs |= {f"noise {i}": node for i, node in enumerate(drawn)}
        self._session = None
        if outputs:
            model = build_model(inputs, outputs, config.opset)
            self._session = open_session(model.SerializeToString(), config.threads)
            self._taken = {value.name for value in self._session.get_inputs()}
        self._outputs = list(outputs)

    def __call__(self, arguments: dict[str, Any]) -> Tree:
        found: dict[str, Any] = {}
        drawn = [values for name, noise in self._noise.items() for _, values in noise.fill(arguments[name])]
        if self._session is not None:
            given = arguments | {f"noise {i}": values for i, values in enumerate(drawn)}
            feeds = {name: _fed(given[name]) for name in self._taken}
            found = dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))
        leaves = {name: found.get(name, x) for name, x in named_leaves(self._result, _FOUND)}
        return replace_leaves(self._result, leaves, _FOUND)


def _stand_in(ops: OnnxOps, x: Any) -> Node | Noise:
    """What the function computes with while its graph is built."""
    return Noise() if isinstance(x, np.random.Generator) else ops.input(_fed(x).dtype, np.shape(x))


def _fed(x: Any) -> np.ndarray[Any, Any]:
    """Python's floats are float32, as on every engine."""
    return np.asarray(x, np.float32) if isinstance(x, float) else np.asarray(x)
