"""One try of a module on a few rows of zeros, before anything is trained: what would go wrong later is said now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from puffer_backend_torch.modules.calling import Call
from puffer_backend_torch.modules.slots import STATS, Slots, own_noise
from puffer_core.arrays import Tree, map_tree, named_leaves
from puffer_core.collection.policy_inputs import no_action
from puffer_core.contracts.policy import Outputs, PolicyInterface
from puffer_core.errors import PufferError, ShapeError, UnsupportedError


def example_inputs(interface: PolicyInterface, names: tuple[str, ...], *lead: int) -> dict[str, Tree]:
    """Zeros of every input of these names, tensors `[*lead, ...]`; every choice is valid.

    Raises:
        UnsupportedError: the env has no such input.
    """
    action = interface.action
    found: dict[str, Any] = {
        "action_mask": np.ones((*lead, action.mask_size), np.bool_),
        "previous_action": no_action(action, *lead),
        "previous_reward": np.zeros(lead, np.float32),
    }
    for name, layout in (("observation", interface.observation), ("global_state", interface.global_state)):
        if layout is not None:
            found[name] = layout.split(np.zeros((*lead, *layout.shape), layout.dtype))
    if missing := sorted(set(names) - found.keys()):
        raise UnsupportedError(f"its forward reads {', '.join(missing)}, which the env does not give")
    return {name: map_tree(lambda x: torch.from_numpy(np.array(x)), found[name]) for name in names}


def try_once(call: Call, interface: PolicyInterface, rows: int) -> tuple[Outputs, Tree]:
    """What a module gives for one step of zeros, `[rows, ...]`, and its carry.

    Raises:
        ShapeError: its forward fails on them; says what they are.
    """
    inputs = example_inputs(interface, call.reads.inputs, rows)
    versions = {name: x._version for name, x in named_leaves(inputs)}
    carry = map_tree(lambda x: x.expand(rows, *x.shape[1:]), call.initial)
    reset = torch.zeros(rows, dtype=torch.bool) if call.reads.carry else None
    name = type(call.module).__name__
    try:
        outputs, after = call.on_step(inputs, carry, reset, torch.float32)
    except PufferError:
        raise
    except Exception as error:
        count = "1 row" if rows == 1 else f"{rows} rows"
        raise ShapeError(
            f"{name}.forward failed on {count} of {_shown(inputs)}: {type(error).__name__}: {error}"
        ) from error
    if written := [name for name, x in named_leaves(inputs) if x._version != versions[name]]:
        raise UnsupportedError(
            f"{name}.forward writes into its {', '.join(map(_spelt, written))}, which others read, too",
            remedy="compute new tensors: x = x / 2 instead of x /= 2",
        )
    return outputs, after


class Trial:
    """Tries a module in evaluation and in training mode.

    Args:
        call: how it is called.
        slots: its tensors.
        interface: the spaces.

    Raises:
        ShapeError: its forward fails on such inputs, or gives something else than was expected; says what was.
        UnsupportedError: it draws random numbers, changes its buffers where it should not, or reads what there is not.
    """

    moving: tuple[str, ...]
    """Buffers that change in training mode."""

    def __init__(self, call: Call, slots: Slots, interface: PolicyInterface) -> None:
        self._call, self._slots, self._interface = call, slots, interface
        self._name = type(call.module).__name__
        tried = []
        for rows in (3, 1):
            changed, outputs = self._run(rows, training=False)
            self._check(outputs, rows)
            tried.append(outputs)
            if changed:
                raise UnsupportedError(
                    f"{self._name}.forward changes {', '.join(changed)} in evaluation, too",
                    remedy="change buffers `if self.training` alone: that is once a rollout",
                )
        self._check_independence(*tried)
        self._check_parameters(outputs)
        changed, _ = self._run(3, training=True)
        if changed and call.reads.carry:
            raise UnsupportedError(
                f"{self._name} has a memory, and changes {', '.join(changed)} in training mode: what is learned once a "
                "rollout knows no memory",
                remedy="use a normalisation without running statistics, such as nn.LayerNorm",
            )
        self.moving = tuple(STATS + name for name in changed)

    def _run(self, rows: int, *, training: bool) -> tuple[list[str], Outputs]:
        """Which buffers changed, and the outputs; the module's own buffers stay as they are."""
        call, slots = self._call, self._slots
        lent = slots.tensors | {name: slots.tensors[name].clone() for name in slots.stats}
        with own_noise(0), slots.filled(lent), mode(call.module, training=training):
            before = torch.random.get_rng_state()
            with _watching(call.module) as drawn:
                outputs, after = try_once(call, self._interface, rows)
            if not torch.equal(before, torch.random.get_rng_state()):
                raise UnsupportedError(
                    f"{self._name} draws random numbers in its forward{drawn.words()}, where the run's are not",
                    remedy="leave dropout and noise out, or set them to 0: exploration is the action distribution's",
                )
            now = slots.current(slots.stats)
        self._check_carry(after)
        return [name.removeprefix(STATS) for name in slots.stats if not _same(slots.tensors[name], now[name])], outputs

    def _check(self, outputs: Outputs, rows: int) -> None:
        sizes = self._call.parameters
        for name, value in outputs.items():
            expected = (rows, sizes[name]) if name in sizes else (rows,)
            shape = tuple(value.shape)
            fits = shape == expected if name in sizes or name == "value" else shape[:1] == expected
            if not (fits and value.is_floating_point()):
                rest = ", ".join(map(str, ["rows", *expected[1:]]))
                raise ShapeError(
                    f"{self._name}.forward gave {name} {value.dtype} {list(shape)}, expected floats [{rest}]"
                )

    def _check_independence(self, several: Outputs, alone: Outputs) -> None:
        """Rows of zeros give what one row of zeros gives."""
        for name, value in several.items():
            if not torch.allclose(value, alone[name].expand(value.shape), rtol=1e-3, atol=1e-3, equal_nan=True):
                raise UnsupportedError(
                    f"{self._name}.forward: rows influence one another: {name} of one observation differs where others "
                    "stand beside it",
                    remedy="rows are separate episodes, not steps of one: a memory is a carry, see docs/modules.md",
                )

    def _check_parameters(self, outputs: Outputs) -> None:
        """All that learns is the module's."""
        own = {id(x) for x in self._slots.tensors.values()}
        if foreign := [list(x.shape) for x in _parameters_of(outputs) if id(x) not in own]:
            raise UnsupportedError(
                f"{self._name}.forward computes with a parameter {foreign[0]} that is not among the module's: it would "
                "not be learned, nor saved",
                remedy="keep layers in attributes, nn.ModuleList or nn.ModuleDict: plain lists and dicts are not seen",
            )

    def _check_carry(self, after: Tree) -> None:
        expected = {name: tuple(x.shape[1:]) for name, x in named_leaves(self._call.initial)}
        given = {name: tuple(x.shape[1:]) for name, x in named_leaves(after)}
        if given != expected:
            raise ShapeError(f"{self._name}.forward gave a carry {given}, expected that of initial_carry: {expected}")


class _Drawn:
    """Which parts of a module drew from torch's global generator."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def words(self) -> str:
        return f" ({self.parts[0]})" if self.parts else ""


@contextmanager
def _watching(module: nn.Module) -> Iterator[_Drawn]:
    drawn, states, hooks = _Drawn(), [], []

    def enter(*_: Any) -> None:
        states.append(torch.random.get_rng_state())

    def leave(part: nn.Module, *_: Any, name: str) -> None:
        if not torch.equal(states.pop(), torch.random.get_rng_state()):
            drawn.parts.append(f"{name}: {type(part).__name__}")

    for name, part in module.named_modules():
        if name and not list(part.children()):
            hooks.append(part.register_forward_pre_hook(enter))
            hooks.append(part.register_forward_hook(lambda *given, name=name: leave(*given, name=name)))
    try:
        yield drawn
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """A module in training or evaluation mode; in evaluation mode afterwards."""
    module.train(training)
    try:
        yield
    finally:
        module.eval()


def _parameters_of(outputs: Outputs) -> Iterator[Tensor]:
    """What the outputs can be differentiated by."""
    nodes, seen = [x.grad_fn for x in outputs.values()], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        nodes.extend(before for before, _ in node.next_functions)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b))


def _shown(inputs: dict[str, Tree]) -> str:
    return ", ".join(f"{_spelt(name)} {x.dtype} {tuple(x.shape[1:])}" for name, x in named_leaves(inputs))


def _spelt(name: str) -> str:
    """An input as `forward` writes it: `observation["pos.x"]`."""
    first, part, leaf = name.partition("/")
    return f'{first}["{leaf}"]' if part else first
