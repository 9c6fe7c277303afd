"""Graphs as models, and models as sessions of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnxruntime
import spox
from onnxruntime.capi import onnxruntime_pybind11_state as _runtime

from puffer_backend_onnx.node import Node
from puffer_core.errors import UnsupportedError

RUNTIME_ERRORS = tuple(x for x in vars(_runtime).values() if isinstance(x, type) and issubclass(x, Exception))
"""What ONNX Runtime raises; its errors have no class in common."""


def build_model(inputs: Mapping[str, Node], outputs: Mapping[str, Node], opset: int) -> onnx.ModelProto:
    """The model from inputs to outputs; inputs that nothing is computed from are dropped.

    Args:
        inputs: name to node; made by `OnnxOps.input`.
        outputs: name to node.
        opset: of the ops table that they were made with.
    """
    named, seen = {}, {id(node.var) for node in inputs.values()}
    for name, node in outputs.items():  # a variable has one name
        named[name] = node.ops.op.identity(node.var) if id(node.var) in seen else node.var
        seen.add(id(node.var))
    model = spox.build({name: node.var for name, node in inputs.items()}, named, drop_unused_inputs=True)
    for used in model.opset_import:
        used.version = opset if used.domain == "" else used.version
    return model


def open_session(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU.

    Raises:
        UnsupportedError: ONNX Runtime lacks an operator for a dtype; names it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # it tells of every initializer that it folds
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _runtime.NotImplemented as error:
        raise UnsupportedError(f"ONNX Runtime {onnxruntime.__version__} cannot run the graph: {error}") from error
