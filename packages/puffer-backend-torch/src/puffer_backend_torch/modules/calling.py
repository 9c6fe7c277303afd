"""How a module's forward is called: what it reads, by the names of its parameters, and how its outputs are named."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from puffer_core.arrays import Tree, map_tree, named_leaves
from puffer_core.contracts.policy import Inputs, Outputs, PolicyInterface
from puffer_core.distributions import head_sizes
from puffer_core.errors import ShapeError, UnsupportedError, UsageError

INPUTS = ("observation", "action_mask", "global_state", "previous_action", "previous_reward")
"""What forward may read of a step; `observation` is its first parameter, whatever that is called."""

_ROWS = 7  # of a first carry that is looked at: seldom the number of layers


@dataclass(frozen=True)
class Reads:
    """What a forward takes.

    Args:
        inputs: names among `INPUTS`, in the order of its parameters.
        keywords: the same as its parameters are called.
        carry: whether it has a memory.
        reset: whether it is given whole sequences, and empties its memory itself.
    """

    inputs: tuple[str, ...]
    keywords: tuple[str, ...]
    carry: bool
    reset: bool


def reads_of(module: type[nn.Module]) -> Reads:
    """What the forward of a class of modules takes.

    Raises:
        UsageError: it takes nothing, or needs something that no policy is given.

    Example:
        >>> class Net(nn.Module):
        ...     def forward(self, obs, action_mask, temperature=1.0): ...
        >>> reads_of(Net)
        Reads(inputs=('observation', 'action_mask'), keywords=('obs', 'action_mask'), carry=False, reset=False)
    """
    parameters = list(inspect.signature(module.forward).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known = {**{name: name for name in INPUTS}, "carry": "carry", "reset": "reset"}
    if names:
        known[names[0]] = "observation"
    required = {p.name for p in parameters if p.default is p.empty and p.name in names}
    unknown = sorted(required - known.keys())
    if not names or unknown:
        what = f"takes {', '.join(unknown)}" if unknown else "takes nothing by name"
        raise UsageError(
            f"{module.__name__}.forward {what}, expected the observation, and of {', '.join((*INPUTS[1:], 'carry'))} "
            "and reset what it reads"
        )
    given = [name for name in names if name in known]
    inputs = [name for name in given if known[name] in INPUTS]
    carry, reset = "carry" in given[1:], "reset" in given[1:]
    if reset and not carry:
        raise UsageError(f"{module.__name__}.forward takes reset and no carry; reset says where a carry starts anew")
    if carry and not hasattr(module, "initial_carry"):
        raise UsageError(
            f"{module.__name__}.forward takes a carry, and {module.__name__} has no initial_carry",
            remedy="write initial_carry(self, rows): the tensors [rows, ...] that an episode starts with, or a tuple "
            "or dict of them",
        )
    return Reads(tuple(known[name] for name in inputs), tuple(inputs), carry, reset)


class Call:
    """Calls a module on `[time, rows, ...]` and names what it gives.

    Args:
        module: the user's.
        reads: what its forward takes.
        interface: the spaces and the outputs that the trainer learns from.

    `initial` is the carry that an episode of one row starts with, `()` without a memory.
    """

    def __init__(self, module: nn.Module, reads: Reads, interface: PolicyInterface) -> None:
        self.module, self.reads = module, reads
        initial: Any = _initial_carry(module) if reads.carry else ()
        self._bare = isinstance(initial, Tensor)  # which trainers and files know as a tuple of one
        self.initial: Tree = (initial,) if self._bare else initial
        self._forward = f"{type(module).__name__}.forward"
        self.parameters = dict(_parameters(interface))
        self._outputs = interface.outputs
        self._positions = None if interface.action.is_nested else (*self.parameters, "value")

    def on_sequences(self, inputs: Inputs, carry: Tree, reset: Tensor, dtype: torch.dtype) -> tuple[Outputs, Tree]:
        """Outputs of every step, and the carry after the last; floats are read as `dtype`."""
        read = self._read(inputs, dtype)
        steps, rows = reset.shape
        if self.reads.reset:
            outputs, carry = self._once(read, carry, reset)
            return self._kept(outputs, 2), carry
        if not self.reads.carry:
            outputs, carry = self._once(map_tree(lambda x: x.flatten(0, 1), read), carry)
            return map_tree(lambda x: x.reshape(steps, rows, *x.shape[1:]), self._kept(outputs, 1)), carry
        taken = []
        for step in range(steps):
            outputs, carry = self._stepped(map_tree(lambda x, at=step: x[at], read), carry, reset[step])
            taken.append(outputs)
        return {name: torch.stack([step[name] for step in taken]) for name in taken[0]}, carry

    def on_step(self, inputs: Inputs, carry: Tree, reset: Tensor | None, dtype: torch.dtype) -> tuple[Outputs, Tree]:
        """The same for `[rows, ...]`, one step; `reset` is None without a memory."""
        read = self._read(inputs, dtype)
        if reset is None:
            outputs, carry = self._once(read, carry)
            return self._kept(outputs, 1), carry
        if not self.reads.reset:
            return self._stepped(read, carry, reset)
        outputs, carry = self._once(map_tree(lambda x: x[None], read), carry, reset[None])
        return map_tree(lambda x: x[0], self._kept(outputs, 2)), carry

    def _read(self, inputs: Inputs, dtype: torch.dtype) -> Inputs:
        return {name: map_tree(lambda x: _float_as(x, dtype), inputs[name]) for name in self.reads.inputs}

    def _stepped(self, read: Inputs, carry: Tree, reset: Tensor) -> tuple[Outputs, Tree]:
        carry = map_tree(lambda x, first: _restarted(x, first, reset), carry, self.initial)
        outputs, carry = self._once(read, carry)
        return self._kept(outputs, 1), carry

    def _once(self, read: Inputs, carry: Tree, reset: Tensor | None = None) -> tuple[Outputs, Tree]:
        """What one call of forward gives, by name, and the carry."""
        arguments = {keyword: read[name] for keyword, name in zip(self.reads.keywords, self.reads.inputs, strict=True)}
        if self.reads.carry:
            arguments["carry"] = carry[0] if self._bare else carry
        if reset is not None:
            arguments["reset"] = reset
        result = self.module(**arguments)
        if not self.reads.carry:
            return self._named(result), carry
        if not isinstance(result, tuple | list) or len(result) < 2:
            raise ShapeError(f"{self._forward} gave {_words(result)}, expected its outputs and, last, the next carry")
        *outputs, after = result
        carry = (after,) if self._bare else after
        return self._named(outputs[0] if isinstance(outputs[0], dict) else tuple(outputs)), carry

    def _named(self, result: Any) -> Outputs:
        if isinstance(result, dict):
            return self._tensors(result)
        given = result if isinstance(result, tuple | list) else (result,)
        if self._positions is None:
            raise ShapeError(f"{self._forward} gave {_words(result)}, expected a dict with {self._wanted()}")
        if len(given) > len(self._positions):
            raise ShapeError(f"{self._forward} gave {len(given)} outputs, expected {', '.join(self._positions)}")
        return self._tensors(dict(zip(self._positions, given, strict=False)))

    def _tensors(self, outputs: Outputs) -> Outputs:
        for name, value in outputs.items():
            if not isinstance(value, Tensor):
                raise ShapeError(f"{self._forward} gave {_words(value)} for {name}, expected tensors: {self._wanted()}")
        return dict(outputs)

    def _kept(self, outputs: Outputs, lead: int) -> Outputs:
        """Those that were asked for, each as the contract has it."""
        for error, wanted in ((ShapeError, self.parameters.keys()), (UnsupportedError, self._outputs)):
            if missing := sorted(wanted - outputs.keys()):
                lacks = f"gave {', '.join(outputs)} without {', '.join(missing)}"
                raise error(f"{self._forward} {lacks}; expected {self._wanted()}")
        kept = {name: outputs[name] for name in (*self.parameters, *sorted(self._outputs))}
        for name in self.parameters:
            if name.startswith("log_std"):
                kept[name] = kept[name].expand(kept["mean" + name.removeprefix("log_std")].shape)
        value = kept.get("value")
        if value is not None and value.ndim == lead + 1:
            kept["value"] = value.squeeze(-1)
        return kept

    def _wanted(self) -> str:
        names = [f"{name} [rows, {size}]" for name, size in self.parameters.items()]
        return ", ".join([*names, *(f"{name} [rows]" for name in sorted(self._outputs))])


def _initial_carry(module: nn.Module) -> Any:
    """What an episode of one row starts with.

    Raises:
        ShapeError: something in it is no tensor, or has not a row first.
    """
    name = f"{type(module).__name__}.initial_carry"
    try:
        given = module.initial_carry(_ROWS)  # type: ignore[operator]  # torch's stubs
    except Exception as error:
        raise ShapeError(f"{name}({_ROWS}) failed: {type(error).__name__}: {error}") from error
    for _, x in named_leaves(given):
        if not isinstance(x, Tensor) or x.shape[:1] != (_ROWS,):
            raise ShapeError(
                f"{name}({_ROWS}) gave {_words(x)}, expected tensors [{_ROWS}, ...], or a tuple or dict of them: rows "
                "come first",
                remedy="the states of nn.LSTM and nn.GRU, [layers, rows, units], are carried as state.transpose(0, 1)",
            )
    return map_tree(lambda x: x[:1], given)


def _parameters(interface: PolicyInterface) -> list[tuple[str, int]]:
    """Parameters of the action distribution with their lengths, in the order in which they are given by position."""
    found = []
    for name, size in head_sizes(interface.action).items():
        found.append((name, size))
        if name.startswith("mean"):
            found.append(("log_std" + name.removeprefix("mean"), size))
    return found


def _float_as(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if x.is_floating_point() else x


def _restarted(x: Tensor, first: Tensor, reset: Tensor) -> Tensor:
    """`x` with the rows of an episode's start, where `reset` is True."""
    return torch.where(reset.view(-1, *[1] * (x.ndim - 1)), first.to(x), x)


def _words(result: Any) -> str:
    if isinstance(result, Tensor):
        return f"a tensor {tuple(result.shape)}"
    if result is None:
        return "nothing"
    return f"a {type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple | list) else "")
