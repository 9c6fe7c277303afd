"""The core's composites over torch's primitives: numbers and gradients are those of torch's own functions."""

from typing import Any

import pytest
import torch

from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_backend_torch.ops import TorchOps
from puffer_core.composites import ComposedOps
from puffer_testing.backend_cases import CASES
from puffer_testing.parity import ParityConformance

WITH_GRADIENT = {"stop_gradient", "value_and_grad"}
COMPOSED = {name for name in vars(ComposedOps) if not name.startswith("_")} - WITH_GRADIENT


class ComposedTorchOps(TorchOps):
    """What a new engine with torch's primitives would have on its first day."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        for name in COMPOSED:
            setattr(self, name, getattr(ComposedOps, name).__get__(self))


class TestComposites(ParityConformance):
    cases = tuple(case for case in CASES if case.op in COMPOSED and "while" not in case.op)

    def make(self) -> Any:
        backend = TorchBackend(TorchConfig(device="cpu", threads=1))
        backend.ops = ComposedTorchOps(torch.device("cpu"))
        return backend

    def capabilities(self) -> frozenset[str]:
        return frozenset({"train"})

    def _peer(self, _: Any) -> Any:
        return TorchBackend(TorchConfig(device="cpu", threads=1))


@pytest.mark.parametrize(("op", "at_zero"), [("relu", 0.0), ("softplus", 0.5)])
def test_at_zero_a_gradient_is_as_engines_have_it(op: str, at_zero: float) -> None:
    ops, x = ComposedTorchOps(torch.device("cpu")), torch.zeros(1, requires_grad=True)
    (gradient,) = torch.autograd.grad(getattr(ops, op)(x).sum(), x)
    assert gradient.item() == at_zero
