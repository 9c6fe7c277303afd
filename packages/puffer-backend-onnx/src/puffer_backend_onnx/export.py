"""A policy as a file: built, compared with the engine that acts for it, and only then written."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import spox

from puffer_backend_onnx.config import OnnxConfig
from puffer_backend_onnx.graph import RUNTIME_ERRORS, build_model, open_session
from puffer_backend_onnx.node import Node
from puffer_backend_onnx.ops import OnnxOps
from puffer_backend_onnx.step import difference, draws, flat, likeliest, step
from puffer_core import composites
from puffer_core.arrays import Params, Tree, map_tree, named_leaves, replace_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.policy import Agent, ExportsItself, Inputs, Outputs
from puffer_core.durable import replace_file
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import numpy_ops

BATCHES = (1, 2, 3, 7, 64)
"""Rows that a graph is compared at."""

TOLERANCE = 1e-5
"""Of the comparison: see `puffer_backend_onnx.step.difference`. Where rounding alone, float32 against float64, makes
more of a difference in the reference itself, as in networks with huge activations: four times that."""

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
        model = _model(agent, config.opset, words, action_mask=action_mask)
        data = model.SerializeToString()
        found = _compare(agent, data, config, reference, action_mask=action_mask)
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


def _model(agent: Agent, opset: int, words: Mapping[str, Any], *, action_mask: bool) -> onnx.ModelProto:
    policy, ops = agent.policy, OnnxOps(opset)
    example = map_tree(lambda draw: draw(np.random.default_rng(0), 1), draws(policy, action_mask=action_mask))
    given = map_tree(lambda x: ops.input(x.dtype, ("batch", *x.shape[1:])), example)
    params = {name: ops.input(x.dtype, x.shape) for name, x in agent.params.items()}
    apply: Any = policy.apply
    if isinstance(policy, ExportsItself):
        apply = partial(_inlined, policy.to_onnx(agent.params, opset=opset))
    found = step(ops, params, given, policy=policy, apply=apply)
    found["action"] = _typed(ops, policy.interface.action, found["action"])
    outputs = {name: x if isinstance(x, Node) else _constant(ops, x) for name, x in flat(found).items()}
    model = build_model({**flat(given), **params}, outputs, opset)
    _fix_parameters(model, agent.params)
    _check_rows(model, {name: node.shape for name, node in outputs.items()})
    metadata = _metadata(agent, words, sorted(example.keys() - {"carry", "reset"}))
    onnx.helper.set_model_props(model, {f"puffer.{name}": _text(value) for name, value in metadata.items()})
    model.producer_name = "puffer"
    onnx.checker.check_model(model, full_check=True)
    return model


def _typed(ops: OnnxOps, layout: Any, action: Tree) -> Tree:
    """The action in the space's own dtypes."""
    if not layout.is_nested:
        return ops.astype(action, layout.dtype)
    return {leaf.name: ops.astype(action[leaf.name], leaf.dtype) for leaf in layout.leaves}


def _constant(ops: OnnxOps, x: Any) -> Node:
    return Node(ops, ops.var(np.asarray(x)))


def _inlined(model: bytes, ops: OnnxOps, _: Params, inputs: Inputs, carry: Tree, reset: Node, __: None) -> Any:
    """`apply` of a policy that exports itself: its own graph within ours."""
    inner = onnx.load_from_string(model)
    now = {name: map_tree(lambda x: x[0], x) for name, x in inputs.items()} | {"carry": carry, "reset": reset[0]}
    arrays = flat(now)
    results = spox.inline(inner)(**{value.name: arrays[value.name].var for value in inner.graph.input})
    nodes = {name: Node(ops, var) for name, var in results.items()}
    after = {path: nodes.pop(f"next_{path.replace('/', '.')}") for path, _ in named_leaves(carry, "carry")}
    outputs: Outputs = {name: node[None] for name, node in nodes.items()}
    return outputs, replace_leaves(carry, after, "carry")


def _fix_parameters(model: onnx.ModelProto, params: Params) -> None:
    """Parameters as initializers instead of inputs, under their own names; the inputs that are left sorted by name."""
    graph = model.graph
    inputs = sorted(graph.input, key=lambda value: value.name)
    del graph.input[:]
    for value in inputs:
        if value.name in params:
            graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(params[value.name]), value.name))
        else:
            graph.input.append(value)


def _check_rows(model: onnx.ModelProto, shapes: Mapping[str, tuple[Any, ...]]) -> None:
    """The first axis of every input and output is symbolic.

    Raises:
        UnsupportedError: one has a fixed number of rows.
    """
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if not dims or dims[0].HasField("dim_value"):
            rows = dims[0].dim_value if dims else "no"
            raise UnsupportedError(
                f"{value.name} has {rows} rows whatever the batch: its shape must follow the inputs'"
            )
        dims[0].dim_param = "batch"
        for dim, known in zip(dims, shapes.get(value.name, ()), strict=False):
            if isinstance(known, int):
                dim.dim_value = known


def _metadata(agent: Agent, words: Mapping[str, Any], inputs: list[str]) -> dict[str, Any]:
    policy, interface = agent.policy, agent.policy.interface
    state = {
        name: {"next": f"next_{name}", "shape": list(x.shape[1:]), "dtype": str(x.dtype), "initial": x[0].tolist()}
        for name, x in flat({"carry": policy.initial_carry(1)}).items()
    }
    return {
        "format": FORMAT,
        "observation_space": interface.observation.to_json(),
        "action_space": interface.action.to_json(),
        "global_state_space": interface.global_state.to_json() if interface.global_state else None,
        "inputs": inputs,
        "outputs": sorted(interface.outputs),
        "state": state,
        **words,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _compare(agent: Agent, data: bytes, config: OnnxConfig, reference: Backend, *, action_mask: bool) -> dict[str, Any]:
    """How far ONNX Runtime is from the reference at every batch.

    Raises:
        UnsupportedError: too far, or it does not run.
    """
    policy, rng, worst = agent.policy, np.random.default_rng(0), 0.0
    session = open_session(data, config.threads)
    names, taken = [value.name for value in session.get_outputs()], {value.name for value in session.get_inputs()}
    run = reference.compile(partial(step, policy=policy, apply=policy.apply))
    params = reference.to_device({name: np.array(x) for name, x in agent.params.items()})
    for rows in BATCHES:
        given = map_tree(lambda draw, rows=rows: draw(rng, rows), draws(policy, action_mask=action_mask))
        expected = flat(reference.to_numpy(run(params, reference.to_device(given))))
        feeds = {name: x for name, x in flat(given).items() if name in taken}
        try:
            got = dict(zip(names, session.run(names, feeds), strict=True))
        except RUNTIME_ERRORS as error:
            raise UnsupportedError(f"its graph does not run with a batch of {rows}: {error}") from error
        if short := sorted(name for name, x in got.items() if x.shape[:1] != (rows,)):
            raise UnsupportedError(f"{', '.join(short)} of a batch of {rows} has {got[short[0]].shape[:1]} rows")
        expected |= flat({"action": _decided(policy.interface.action, got, given)})
        off = {name: difference(array, expected[name]) for name, array in got.items()}
        worst = max(worst, *off.values())
        if worst > TOLERANCE:
            exact = flat(
                reference.to_numpy(run(reference.to_device(_doubled(agent.params)), reference.to_device(given)))
            )
            _check_rounding(off, {name: difference(expected[name], exact[name]) for name in got}, rows, reference.name)
    return {"difference": worst, "batches": list(BATCHES), "reference": reference.name}


def _doubled(params: Params) -> Params:
    return {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in params.items()}


def _check_rounding(off: Mapping[str, float], rounding: Mapping[str, float], rows: int, reference: str) -> None:
    for name, value in off.items():
        limit = max(TOLERANCE, 4.0 * rounding[name])
        if not value <= limit < math.inf:
            raise UnsupportedError(
                f"output {name} differs by {value:.2g} from {reference} with a batch of {rows}; at most {limit:.2g} is "
                "allowed"
            )


def _decided(layout: Any, got: Mapping[str, Any], given: Mapping[str, Any]) -> Tree:
    """The action that the graph's own outputs lead to: equal even where two choices are nearly as likely."""
    return likeliest(numpy_ops, layout, got, given.get("action_mask"))


def _described(values: Any) -> dict[str, dict[str, Any]]:
    described = {}
    for value in values:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        described[value.name] = {"shape": shape, "dtype": dtype}
    return described
