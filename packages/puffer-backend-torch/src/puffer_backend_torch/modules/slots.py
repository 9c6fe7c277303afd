"""The places of a module's parameters and buffers, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from puffer_core.arrays import Params, is_trainable
from puffer_core.errors import UnsupportedError

STATS = "stats."


@contextmanager
def own_noise(seed: int) -> Iterator[None]:
    """Have torch draw from a generator state of this seed, and put the state of before back afterwards.

    Example:
        >>> with own_noise(0):
        ...     first = torch.rand(1)
        >>> with own_noise(0):
        ...     bool(torch.rand(1) == first)
        True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class Slots:
    """Where a module keeps its parameters and buffers.

    Those that are differentiated keep their names; buffers, and parameters without gradient, stand under `stats.`.
    `torch.func.functional_call` does the same as `filled`, at twice the time of a small network's forward pass.

    Args:
        module: whose they are; its own tensors are in place again whenever nothing is `filled`.

    Raises:
        UnsupportedError: there is nothing to learn, a parameter of a part that is called `stats`, or a part compiled by
            `torch.jit`.
    """

    def __init__(self, module: nn.Module) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._places: list[tuple[dict[str, Any], str, str]] = []
        names: dict[int, str] = {}
        for prefix, part in module.named_modules(remove_duplicate=False):
            if isinstance(part, torch.jit.ScriptModule):
                raise UnsupportedError(
                    f"{type(module).__name__}: torch.jit compiled the part {prefix}, whose tensors cannot be replaced",
                    remedy="give it as it is written; --backend.compile compiles what is learned with",
                )
            for kept in (part._parameters, part._buffers):
                for key, tensor in kept.items():
                    if tensor is None:
                        continue
                    own = f"{prefix}.{key}" if prefix else key
                    trains = isinstance(tensor, nn.Parameter) and tensor.requires_grad
                    if trains and not is_trainable(own):
                        raise UnsupportedError(
                            f"{type(module).__name__}: the parameter {own} would not learn: `stats.` is what is kept, "
                            "and not differentiated",
                            remedy="give that part of the module another name",
                        )
                    name = names.setdefault(id(tensor), own if trains else STATS + own)  # one name, however often used
                    self.tensors[name] = tensor
                    self._places.append((kept, key, name))
        self.stats = sorted(name for name in self.tensors if not is_trainable(name))
        if len(self.stats) == len(self.tensors):
            raise UnsupportedError(
                f"{type(module).__name__} has nothing to learn: no parameter that requires a gradient",
                remedy="keep layers in attributes, nn.ModuleList or nn.ModuleDict: plain lists and dicts are not seen",
            )

    @contextmanager
    def filled(self, params: Mapping[str, Tensor]) -> Iterator[None]:
        """Compute with these tensors."""
        own = [kept[key] for kept, key, _ in self._places]
        try:
            for kept, key, name in self._places:
                kept[key] = params[name]
            yield
        finally:
            for (kept, key, _), tensor in zip(self._places, own, strict=True):
                kept[key] = tensor

    def current(self, names: list[str]) -> dict[str, Tensor]:
        """What lies in the places of these names now."""
        return {name: kept[key] for kept, key, name in self._places if name in names}

    def arrays(self) -> Params:
        """A copy as NumPy arrays, sorted by name; floats are float32."""
        return {name: _array(self.tensors[name]) for name in sorted(self.tensors)}


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach()
    array: np.ndarray[Any, Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy().copy()
    return array
