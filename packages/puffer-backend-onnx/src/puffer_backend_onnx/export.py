"""A policy as a file: built, compared with the engine that acts for it, and only then written."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import spox

from puffer_backend_onnx.building import policy_model
from puffer_backend_onnx.comparison import compare
from puffer_backend_onnx.config import OnnxConfig
from puffer_core import composites
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.policy import Agent, ExportsItself
from puffer_core.durable import replace_file
from puffer_core.errors import UnsupportedError

FORMAT = "puffer-policy 1"
_ENGINE = (__file__, composites.__file__, spox.__file__, onnx.__file__, np.__file__)
_SOURCES = tuple(str(Path(str(file)).parent) for file in _ENGINE)


def export(
    agent: Agent, path: Path, config: OnnxConfig, *, reference: Backend, action_mask: bool, words: Mapping[str, Any]
) -> dict[str, Any]:
    """Write an agent as an ONNX file, once it is known to act as the reference does.

    Args:
        agent: parameters are NumPy arrays.
        path: of the file; an older one is replaced.
        config: version of the operators.
        reference: runs the policy.
        action_mask: the env gives masks.
        words: of the checkpoint, JSON values, for the file's metadata.

    Returns:
        `inputs` and `outputs` by name, each with `shape` and `dtype`; `difference`, the greatest that was measured;
        `batches`; `opset`.

    Raises:
        UnsupportedError: it cannot be exported; names the policy's module and the op. No file is left.
    """
    kind = type(agent.policy)
    try:
        model = policy_model(agent, config.opset, {"format": FORMAT, **words}, action_mask=action_mask)
        data = model.SerializeToString()
        found = compare(agent, data, config, reference, action_mask=action_mask)
    except (UnsupportedError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        what = error.message if isinstance(error, UnsupportedError) else f"{type(error).__name__}: {error}"
        place = "" if isinstance(agent.policy, ExportsItself) else _place(error)  # which it tells itself
        raise UnsupportedError(
            f"policy {kind.__module__}:{kind.__qualname__}{place}: {what}", remedy=getattr(error, "remedy", "")
        ) from error
    replace_file(path, data)
    values = {"inputs": model.graph.input, "outputs": model.graph.output}
    return {name: _described(part) for name, part in values.items()} | found | {"opset": config.opset}


def _place(error: Exception) -> str:
    """The line of the policy, or of what it is built from, that a graph cannot be made of."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(_SOURCES):
            return f", {frame.filename}:{frame.lineno}, `{frame.line}`"
    return ""


def _described(values: Any) -> dict[str, dict[str, Any]]:
    described = {}
    for value in values:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        described[value.name] = {"shape": shape, "dtype": dtype}
    return described
