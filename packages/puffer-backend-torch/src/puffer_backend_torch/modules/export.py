"""A module as an ONNX graph, by torch's own exporter."""

from __future__ import annotations

import linecache
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from puffer_backend_torch.modules.calling import Call
from puffer_backend_torch.modules.trial import example_inputs
from puffer_core.arrays import map_tree, named_leaves, replace_leaves
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.errors import UnsupportedError, UsageError

ROWS = 3
"""Of the batch that is traced: exporters take 0 and 1 for constants."""
OPSETS = range(18, 24)
BATCH = "batch"


class Step(nn.Module):
    """One step of a module, flat: tensors `[rows, ...]` in, in the order of `names`, and out, named by `outputs`.

    Args:
        call: of a module whose parameters are in place.
        interface: the spaces.
    """

    def __init__(self, call: Call, interface: PolicyInterface) -> None:
        super().__init__()
        self.module = call.module
        self._call = call
        self._inputs = example_inputs(interface, call.reads.inputs, ROWS)
        self._carry = map_tree(lambda x: x.expand(ROWS, *x.shape[1:]).clone(), call.initial)
        self.examples = {name.replace("/", "."): x for name, x in named_leaves(self._inputs)}
        if call.reads.carry:
            self.examples |= {_named("carry", name): x for name, x in named_leaves(self._carry)}
            self.examples["reset"] = torch.zeros(ROWS, dtype=torch.bool)
        self.outputs: list[str] = []

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Outputs by name, then the next carry; `outputs` says which."""
        given = dict(zip(self.examples, tensors, strict=True))
        leaves = {name: given[name.replace("/", ".")] for name, _ in named_leaves(self._inputs)}
        carry = replace_leaves(
            self._carry, {name: given[_named("carry", name)] for name, _ in named_leaves(self._carry)}
        )
        reset = given.get("reset")
        named, after = self._call.on_step(replace_leaves(self._inputs, leaves), carry, reset, torch.float32)
        if self._call.reads.carry:
            named |= {_named("next_carry", name): x for name, x in named_leaves(after)}
        self.outputs = list(named)
        return tuple(named.values())


def to_onnx(call: Call, interface: PolicyInterface, opset: int) -> bytes:
    """The graph of one step of a module that has the parameters to export; see `ExportsItself`.

    Raises:
        UnsupportedError: something in it has no place in a graph; names it.
        UsageError: the exporter is not installed, or has no such opset.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset: got {opset}, expected {OPSETS[0]} to {OPSETS[-1]}")
    if find_spec("onnxscript") is None:
        raise UsageError(
            "export to ONNX: onnxscript is not installed, which torch writes graphs with",
            remedy='pip install "puffer-backend-torch[onnx]"',
        )
    step = Step(call, interface).eval()
    examples = tuple(step.examples.values())
    with torch.no_grad(), _quiet():
        step(*examples)  # which says how its outputs are called
        traced = _traced(step, examples)
        model = _converted(traced, step, opset).model_proto
    fixed = [x.name for x in (*model.graph.input, *model.graph.output) if not _is_symbolic(x)]
    if fixed:
        raise _cannot(step, f"{', '.join(fixed)} came out for batches of {ROWS} rows alone")
    graph: bytes = model.SerializeToString()
    return graph


def _traced(step: Step, examples: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    shapes = (tuple({0: torch.export.Dim(BATCH)} for _ in examples),)
    try:
        return torch.export.export(step, examples, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        raise _cannot(step, f"{_part(step, error)}{_first_line(error)}") from error


def _converted(traced: torch.export.ExportedProgram, step: Step, opset: int) -> Any:
    try:
        return torch.onnx.export(
            traced,
            input_names=list(step.examples),
            output_names=step.outputs,
            dynamic_shapes=(tuple({0: BATCH} for _ in step.examples),),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    except Exception as error:
        if found := re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error)):
            op = found.group(1)
            raise _cannot(step, f"{_user_of(traced, op)}ONNX opset {opset} has nothing for the op {op}") from error
        raise _cannot(step, _first_line(error)) from error


def _cannot(step: Step, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"module {type(step.module).__name__} cannot be exported: {why}",
        remedy="write that in other ops, without a branch on values or on the number of rows",
    )


def _part(step: Step, error: BaseException) -> str:
    """The innermost part of the module that was being called."""
    names = {id(part): name for name, part in step.module.named_modules()}
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        part = frame.f_locals.get("self")
        if isinstance(part, nn.Module) and id(part) in names:
            code = linecache.getline(frame.f_code.co_filename, line).strip()
            found = f"{names[id(part)] or 'its forward'} ({type(part).__name__}), at `{code}`: "
    return found


def _user_of(traced: torch.export.ExportedProgram, op: str) -> str:
    """The part of the module where an op is from, which may have another prefix since: `aten.special_` or `prims.`."""
    for node in traced.graph.nodes:
        stack = node.meta.get("nn_module_stack")
        if stack and op.rpartition(".")[2] in str(node.target):
            name, kind = list(stack.values())[-1]
            name = name.partition(".module")[2].removeprefix(".") if name.startswith("L[") else name
            return f"{name.removeprefix('module').removeprefix('.') or 'its forward'} ({_class(kind)}): "
    return ""


def _class(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _is_symbolic(value: Any) -> bool:
    shape = value.type.tensor_type.shape
    return bool(shape.dim and shape.dim[0].dim_param == BATCH)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter says of itself: deprecations within torch, packages that it looks for, graphs."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _named(prefix: str, path: str) -> str:
    return f"{prefix}.{path.replace('/', '.')}" if path else prefix
