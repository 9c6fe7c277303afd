"""A policy as a model: its step run once on nodes, its parameters as initializers, what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
import spox

from puffer_backend_onnx.graph import build_model
from puffer_backend_onnx.node import Node
from puffer_backend_onnx.ops import OnnxOps
from puffer_backend_onnx.step import draws, flat, step
from puffer_core.arrays import Params, Tree, map_tree, named_leaves, replace_leaves
from puffer_core.contracts.policy import Agent, ExportsItself, Inputs, Outputs
from puffer_core.errors import UnsupportedError


def policy_model(agent: Agent, opset: int, words: Mapping[str, Any], *, action_mask: bool) -> onnx.ModelProto:
    """The model of one step, checked.

    Args:
        agent: parameters are NumPy arrays.
        opset: version of the operators.
        words: JSON values, for the metadata beside the spaces and the state.
        action_mask: the env gives masks.

    Raises:
        UnsupportedError: no graph can be made of it, or none for every batch.
    """
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
